"""``ncf tune`` searches for a better recipe."""

from pathlib import Path
from typing import Annotated

import typer

import ncf
from ncf.cli.options import AsJson, Config, Data, Gmf, Mlp, Where
from ncf.cli.output import show
from ncf.devices import Device
from ncf.models.kinds import Variant
from ncf.training.names import Named


def tune(
    data: Data,
    model: Annotated[Variant, typer.Option(help="Model to tune.")],
    out: Annotated[Path, typer.Option(help="Recipe to write, in TOML, for 'ncf train --config'.")],
    recipe: Annotated[Named, typer.Option(help="Recipe to start from.")] = Named.DEFAULT,
    config: Config = None,
    space: Annotated[
        Path | None, typer.Option(help="Search space in TOML; by default the toolkit's own.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Stop after this many minutes.")] = 30.0,
    trials: Annotated[int | None, typer.Option(help="Stop after this many trials.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an earlier search.")] = False,
    gmf: Gmf = None,
    mlp: Mlp = None,
    device: Where = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """Search for a better recipe within a time budget, by validation only, and write it.

    Example: ncf tune --data data/ml-100k --model gmf --minutes 10 --out gmf.toml
    """
    found = ncf.tune(
        data,
        model,
        out=out,
        recipe=recipe,
        config=config,
        space=space,
        minutes=minutes,
        trials=trials,
        resume=resume,
        gmf=gmf,
        mlp=mlp,
        device=device,
    )
    show(found, as_json=as_json)
