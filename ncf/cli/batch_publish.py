"""``ncf batch publish`` and ``rollback`` point to another run by hand."""

from typing import Annotated

import typer

import ncf
from ncf.cli.batch_options import WorkFolder
from ncf.cli.options import Runs
from ncf.cli.output import say


def publish(
    run: Annotated[str, typer.Argument(help="Name of the run.")],
    out: Runs = "topk",
    work: WorkFolder = None,
) -> None:
    """Publish a run after all: one that failed a gate and was set aside, or an older one.

    Example: ncf batch publish 20261126T030000Z-1f2e3d4c --out topk
    """
    say(ncf.publish(run, out, work=work))


def rollback(out: Runs = "topk", work: WorkFolder = None) -> None:
    """Go back to the run that was published before the present one; once more goes back further.

    Example: ncf batch rollback --out topk
    """
    say(ncf.rollback(out, work=work))
