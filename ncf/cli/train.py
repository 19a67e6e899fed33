"""``ncf train`` trains a model on prepared data."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

import ncf
from ncf.cli.options import AsJson, Config, Data, Gmf, Mlp, Where
from ncf.cli.output import print_json, show
from ncf.devices import Device
from ncf.models.kinds import Variant
from ncf.training.launcher import launched
from ncf.training.names import Named

TheModel = Annotated[
    Variant | None, typer.Option("--model", help="Model to train. [default: neumf-pre]")
]
TheRecipe = Annotated[
    Named | None, typer.Option("--recipe", help="Recipe of the toolkit. [default: default]")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue after the last epoch saved.")]
Amp = Annotated[bool, typer.Option("--amp", help="Compute in bfloat16 where it is safe; for GPUs.")]
Refit = Annotated[
    bool, typer.Option("--refit/--no-refit", help="Also train on everything, for export.")
]
RefitOnly = Annotated[
    bool, typer.Option("--refit-only", help="Only that, for a checkpoint that lacks it.")
]
WarmStart = Annotated[
    Path | None,
    typer.Option("--warm-start", help="Yesterday's checkpoint, to start from instead of noise."),
]


def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write.")],
    model: TheModel = None,
    recipe: TheRecipe = None,
    config: Config = None,
    resume: Resume = False,
    gmf: Gmf = None,
    mlp: Mlp = None,
    device: Where = Device.AUTO,
    amp: Amp = False,
    refit: Refit = True,
    refit_only: RefitOnly = False,
    warm_start: WarmStart = None,
    as_json: AsJson = False,
) -> None:
    """Train a model, and keep the epoch that is best by validation, never by test.

    Then train it again on everything, test part included, for as many epochs: 'ncf export' takes
    these weights, 'ncf evaluate' and 'ncf compare' measure the first ones.

    Example: ncf train --data data/ml-100k --model neumf-pre --out checkpoints/neumf-pre

    Every night: ncf train --data data/tonight --warm-start checkpoints/yesterday --out
    checkpoints/tonight

    With several processes: torchrun --no-python --nproc-per-node 2 ncf train ... with the same
    options. The processes share --out and --data.
    """
    leads = launched().rank == 0  # the first of the processes of torchrun
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
        refit=refit,
        refit_only=refit_only,
        warm_start=warm_start,
    )
    if leads:
        _print(out, trained, as_json=as_json)


def _print(out: Path, trained: "ncf.Model", *, as_json: bool) -> None:
    found = trained.figures
    if as_json:
        print_json({"checkpoint": str(out), **found})
        return
    product = "none: 'ncf export' takes the honest weights"
    if found["product"] is not None:
        seen = "{epochs} epochs on all {interactions:,} interactions".format(**found["product"])
        product = f"{seen}, for 'ncf export'"
    facts = {"figures of": "the honest weights", "product weights": product}
    if found["hr"] is None:
        count = found["warm"]["learned_validation"]
        facts["figures of"] = f"none: earlier nights trained on {count:,} of the validation pairs"
    if found["warm"] is not None:
        facts["warm start"] = _started(found["warm"])
    rest = {"best_epoch": found["best_epoch"], **facts, "digest": found["digest"]}
    show({"checkpoint": str(out), **dict(trained.validation()), **rest}, as_json=False)


def _started(warm: Mapping[str, Any]) -> str:
    """Say in one line what a training started from, and how far its lists moved."""
    counts = [
        f"{warm[side]['kept']:,} {side} kept, {warm[side]['new']:,} new, "
        f"{warm[side]['dropped']:,} dropped"
        for side in ("users", "items")
    ]
    moved = f"{warm['overlap']:.1%} of the lists of ten stayed"
    return f"generation {warm['generation']}; {'; '.join(counts)}; {moved}"
