"""``ncf tune``."""

from pathlib import Path
from typing import Annotated

import typer

from ncf.cli.model import Data, torch_device
from ncf.cli.output import AsJson, show
from ncf.devices import Device
from ncf.models.kinds import Variant
from ncf.training.names import Named


def tune(
    data: Data,
    model: Annotated[Variant, typer.Option(help="What to tune.")],
    out: Annotated[Path, typer.Option(help="Recipe to write, in TOML, for 'ncf train --config'.")],
    recipe: Annotated[Named, typer.Option(help="Where to start from.")] = Named.DEFAULT,
    config: Annotated[Path | None, typer.Option(help="Changes to the recipe, in TOML.")] = None,
    space: Annotated[
        Path | None, typer.Option(help="What to search, in TOML; the toolkit's own by default.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Stop after so long.")] = 30.0,
    trials: Annotated[int | None, typer.Option(help="Stop after so many trials.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an earlier search's trials.")
    ] = False,
    gmf: Annotated[Path | None, typer.Option(help="GMF parent of neumf-pre.")] = None,
    mlp: Annotated[Path | None, typer.Option(help="MLP parent of neumf-pre.")] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """Search for a better recipe within a time budget, on validation only, and write it.

    Example: ncf tune --data data/ml-100k --model gmf --minutes 10 --out gmf.toml
    """
    from ncf.extras import require

    require("optuna", "sqlalchemy", "tomli_w", user="'ncf tune'")

    from ncf.data.prepared import open_data
    from ncf.training.recipe import load_recipe, named_recipe
    from ncf.training.stage import ParentFolders, Request
    from ncf.training.tune import Search, load_space
    from ncf.training.tune import tune as search_recipe

    base = named_recipe(recipe, model)
    if config:
        base = load_recipe(config, base)
    parents = ParentFolders(gmf, mlp)
    request = Request(model, base, out, resume, torch_device(device), parents)
    search = Search(request, load_space(space, model), minutes * 60, trials)
    found = search_recipe(search, open_data(data))
    figures = {"hr": "validation_HR@10", "ndcg": "validation_NDCG@10"}
    show({figures.get(name, name): value for name, value in found.items()}, as_json=as_json)
