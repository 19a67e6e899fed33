"""``ncf train`` trains a model on prepared data."""

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

import ncf
from ncf.cli.options import AsJson, Config, Data, Gmf, Mlp, Where
from ncf.cli.output import print_json, show
from ncf.devices import Device
from ncf.models.kinds import Variant
from ncf.training.names import Named


def train(
    data: Data,
    model: Annotated[Variant, typer.Option(help="Model to train.")],
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write.")],
    recipe: Annotated[
        Named, typer.Option(help="Recipe that comes with the toolkit.")
    ] = Named.DEFAULT,
    config: Config = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue after the last whole epoch.")
    ] = False,
    gmf: Gmf = None,
    mlp: Mlp = None,
    device: Where = Device.AUTO,
    amp: Annotated[
        bool, typer.Option("--amp", help="Compute in bfloat16 where it is safe; for GPUs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model, and keep the epoch that is best by validation, never by test.

    Example: ncf train --data data/ml-100k --model neumf-pre --out checkpoints/neumf-pre

    With several processes: torchrun --nproc-per-node 2 -m ncf train ... with the same options.
    The processes share --out and --data.
    """
    leads = os.environ.get("RANK", "0") == "0"  # the first of the processes of torchrun
    if not leads:
        logging.getLogger().setLevel(logging.ERROR)  # only the first one logs
    trained = ncf.train(
        data,
        model,
        out=out,
        recipe=recipe,
        config=config,
        resume=resume,
        gmf=gmf,
        mlp=mlp,
        device=device,
        amp=amp,
    )
    if not leads:
        return
    if as_json:
        print_json({"checkpoint": str(out), **trained.figures})
        return
    rest = {name: trained.figures[name] for name in ("best_epoch", "digest")}
    show({"checkpoint": str(out), **dict(trained.validation()), **rest}, as_json=False)
