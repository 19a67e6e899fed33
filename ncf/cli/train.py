"""``ncf train`` trains a model on prepared data."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import ncf
from ncf.baselines.names import Baseline
from ncf.cli.options import AsJson, Config, Data, Gmf, Mlp, Where
from ncf.cli.output import print_json, show
from ncf.devices import Device
from ncf.training.launcher import launched
from ncf.training.names import Named

Name = Literal[
    "gmf", "mlp", "neumf-end", "neumf-pre", "popular", "item-knn", "ease", "ials"
]  # of ncf.models.kinds.Variant and ncf.baselines.names.Baseline: a test compares
TheModel = Annotated[
    Name | None,
    typer.Option(
        "--model",
        help="Network to train, or simple model (popular, item-knn, ease, ials) to compare with. "
        "[default: neumf-pre]",
    ),
]
TheRecipe = Annotated[
    Named | None, typer.Option("--recipe", help="Recipe of the toolkit. [default: default]")
]
_EXPORTED = {name for name in Baseline if name.has_rows}
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

    A simple model: ncf train --data data/ml-100k --model ease --out checkpoints/ease

    Every night: ncf train --data data/tonight --warm-start checkpoints/yesterday --out
    checkpoints/tonight

    With several processes: torchrun --no-python --nproc-per-node 2 ncf train ... with the same
    options. The processes share --out and --data.
    """
    if not (leads := launched().rank == 0):  # not the first of the processes of torchrun
        logging.getLogger().setLevel(logging.ERROR)
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
    if found.get("tried") and trained.variant not in _EXPORTED:
        product = "none: an item-item model is not exported"
    if found["product"] is not None:
        seen = "{epochs} epochs on all {interactions:,} interactions".format(**found["product"])
        product = f"{seen}, for 'ncf export'"
    facts = {"figures of": "the honest weights", "product weights": product}
    if found["hr"] is None:
        count = found["warm"]["learned_validation"]
        facts["figures of"] = f"none: earlier nights trained on {count:,} of the validation pairs"
    if found.get("tried"):
        names = {name: value for name, value in found["settings"].items() if name != "fixed"}
        if names:
            facts["settings"] = f"{_settings(names)}, the best of {found['tried']} on validation"
    if found["warm"] is not None:
        facts["warm start"] = _started(found["warm"])
    epoch = {} if found["best_epoch"] is None else {"best_epoch": found["best_epoch"]}
    rest = {**epoch, **facts, "digest": found["digest"]}
    show({"checkpoint": str(out), **dict(trained.validation()), **rest}, as_json=False)


def _settings(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


def _started(warm: Mapping[str, Any]) -> str:
    """Say in one line what a training started from, and how far its lists moved."""
    counts = [
        f"{warm[side]['kept']:,} {side} kept, {warm[side]['new']:,} new, "
        f"{warm[side]['dropped']:,} dropped"
        for side in ("users", "items")
    ]
    moved = f"{warm['overlap']:.1%} of the lists of ten stayed"
    return f"generation {warm['generation']}; {'; '.join(counts)}; {moved}"
