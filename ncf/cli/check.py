"""``ncf check`` tests whether a server answers, how fast, and with which model."""

from pathlib import Path
from typing import Annotated

import typer

from ncf.cli.options import AsJson, ModelName, ModelStore, State
from ncf.cli.output import show
from ncf.serving.settings import Settings


def check(
    url: Annotated[str, typer.Argument(help="Address, such as http://127.0.0.1:8080.")],
    model_store: ModelStore = Path("model_store"),
    name: ModelName = "ncf",
    state: State = Path(".serve"),
    token_file: Annotated[
        Path | None, typer.Option(help="File of the token; by default that in --state.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Raw user id; if not given, one from the archive.")
    ] = None,
    times: Annotated[int, typer.Option(min=1, help="Number of predictions to time.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Check a server with real predictions: the model that answers, and how fast.

    Example: ncf check http://127.0.0.1:8080
    """
    from ncf.serving.check import check_server

    settings = Settings(model_store.absolute(), name, state.absolute())
    show(check_server(url, settings, token_file, user, times), as_json=as_json)
