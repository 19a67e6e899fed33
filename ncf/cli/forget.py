"""``ncf forget`` finds what holds a person, and removes it where that takes no training."""

from pathlib import Path
from typing import Annotated

import typer

import ncf
from ncf.cli.options import AsJson
from ncf.cli.output import print_json, say, show_table


def forget(
    user: Annotated[str, typer.Option(help="Raw id of the user.")],
    data: Annotated[Path | None, typer.Option(help="Folder that 'ncf data prepare' made.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder that 'ncf train' made.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder that 'ncf export' made.")] = None,
    out: Annotated[str | None, typer.Option(help="Folder or URI of all runs.")] = None,
    to: Annotated[
        list[str] | None, typer.Option(help="Target of 'ncf push'; may be given several times.")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove what takes no training; else only list it.")
    ] = False,
    password_file: Annotated[
        Path | None, typer.Option(help="File of the targets' password; else NCF_PUSH_PASSWORD.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what holds a user; with --remove, remove it where that takes no training.

    Example: ncf forget --user 196 --bundle model_store/ncf --out topk --data data/ml-100k --remove
    """
    found = ncf.forget(
        user,
        data=data,
        checkpoint=checkpoint,
        bundle=bundle,
        out=out,
        to=to or [],
        remove=remove,
        password_file=password_file,
    )
    if as_json:
        print_json({"user": user, "holders": [each._asdict() for each in found]})
    elif found:
        rows = [(e.holder, e.holds, "yes" if e.removed else "no", e.left) for e in found]
        show_table(("holder", "holds", "removed", "left"), rows)
    else:
        say("nothing that was looked into holds this user")
