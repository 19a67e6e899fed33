"""``ncf push`` delivers a table to where a shop reads it."""

from pathlib import Path
from typing import Annotated

import typer

import ncf
from ncf.cli.options import AsJson, LogFormat
from ncf.cli.output import set_log_format, show
from ncf.errors import UsageError


def push(
    to: Annotated[
        str, typer.Option(help="postgresql://, redis://, valkey://, delta://: see docs/push.md.")
    ],
    run: Annotated[str, typer.Option(help="Folder of runs (its newest), or a run.")] = "topk",
    whole: Annotated[
        bool, typer.Option("--all", help="Write all lists, whatever the target holds.")
    ] = False,
    swap: Annotated[
        bool, typer.Option("--swap", help="Write all lists anew, and swap them in by one step.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be written; write nothing.")
    ] = False,
    rate: Annotated[float, typer.Option(help="Most users to write in a second; 0: no limit.")] = 0,
    password_file: Annotated[
        Path | None, typer.Option(help="File of the password; else NCF_PUSH_PASSWORD.")
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Say what the target holds.")] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the version before.")
    ] = False,
    log_format: LogFormat = "text",
    as_json: AsJson = False,
) -> None:
    """Push a table to a database: users whose lists changed, or all of it, in one step for readers.

    Example: ncf push --run topk --to 'postgresql://shop@db/shop?table=topk'
    """
    set_log_format(log_format)
    if status or rollback:
        if (status and rollback) or whole or swap or dry_run or rate:
            raise UsageError(
                "`status` and `rollback` go with no other option of a push",
                remedy="give one of them alone",
            )
        ask = ncf.push_status if status else ncf.push_rollback
        show(ask(to, password_file=password_file), as_json=as_json)
        return
    found = ncf.push(
        to,
        run,
        whole=whole,
        swap=swap,
        dry_run=dry_run,
        rate=rate,
        password_file=password_file,
    )
    show(found, as_json=as_json)
