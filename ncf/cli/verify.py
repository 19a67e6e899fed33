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
    target: Annotated[
        str | None, typer.Option(help="What the run was pushed to: compare its lists.")
    ] = None,
    sample: Annotated[int, typer.Option(help="Users to read from the target; 0 reads all.")] = 1000,
    password_file: Annotated[
        Path | None, typer.Option(help="File of the target's password; else NCF_PUSH_PASSWORD.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a bundle, a run, or what a run was pushed to; given a run's bundle, its users too.

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
        target=target,
        sample=sample,
        password_file=password_file,
    )
    show(found, as_json=as_json)
