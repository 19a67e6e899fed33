"""``ncf verify`` checks that a bundle or a run is complete and correct."""

from pathlib import Path
from typing import Annotated

import typer

import ncf
from ncf.cli.options import AsJson, FilterFile
from ncf.cli.output import show


def verify(
    bundle: Annotated[Path | None, typer.Option(help="Folder that 'ncf export' made.")] = None,
    run: Annotated[str | None, typer.Option(help="Folder or URI of a run.")] = None,
    seen: FilterFile = None,
    users: FilterFile = None,
    exclude_items: FilterFile = None,
    candidates: FilterFile = None,
    exclude_pairs: FilterFile = None,
    gate: Annotated[
        Path | None, typer.Option(help="Gates that the run must pass too; with --bundle.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a bundle or a run; given both, check the run's users and seen items too.

    Example: ncf verify --bundle model_store/ncf
    """
    found = ncf.verify(
        bundle,
        run=run,
        seen=seen,
        users=users,
        exclude_items=exclude_items,
        candidates=candidates,
        exclude_pairs=exclude_pairs,
        gate=gate,
    )
    show(found, as_json=as_json)
