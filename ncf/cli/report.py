"""``ncf report`` writes a page about a table or a training."""

from pathlib import Path
from typing import Annotated

import typer

import ncf
from ncf.cli.output import say


def report(
    run: Annotated[str | None, typer.Option(help="Folder or URI of a run.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder that 'ncf train' made.")] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle of the run: titles, histories, catalogue.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data of the checkpoint, to measure it beside baselines.")
    ] = None,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("report.html"),
) -> None:
    """Write a page to look at: one file, which a browser opens and which fetches nothing.

    Example: ncf report --run topk --bundle model_store/ncf --out report.html

    Of a training: ncf report --checkpoint checkpoints/neumf-pre --data data/ml-100k
    """
    say(str(ncf.report(run, checkpoint=checkpoint, bundle=bundle, data=data, out=out)))
