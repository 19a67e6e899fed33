"""``ncf batch``: every user's top-K as one published table."""

from pathlib import Path
from typing import Annotated

import typer

import ncf
from batch.options import Layout, Mode, TableFormat
from ncf.cli.options import AsJson, Length, LogFormat, Runs, Where
from ncf.cli.output import set_log_format, show
from ncf.devices import Device
from ncf.errors import UsageError
from ncf.policies import Strangers


def batch(
    context: typer.Context,
    bundle: Annotated[Path | None, typer.Option(help="Folder that 'ncf export' made.")] = None,
    out: Runs = "topk",
    k: Length = 10,
    device: Where = Device.AUTO,
    mode: Annotated[
        Mode, typer.Option(help="Screen, rank exactly, or screen where that pays.")
    ] = Mode.AUTO,
    recall: Annotated[
        float, typer.Option(help="Least recall that a screened table must prove.")
    ] = 0.999,
    seen: Annotated[
        Path | None, typer.Option(help="CSV or Parquet of interactions since the export.")
    ] = None,
    users: Annotated[
        Path | None, typer.Option(help="CSV or Parquet, user_id: only these get a list.")
    ] = None,
    exclude_items: Annotated[
        Path | None, typer.Option(help="CSV or Parquet, item_id: nobody gets these.")
    ] = None,
    candidates: Annotated[
        Path | None, typer.Option(help="CSV or Parquet, item_id: only these may be listed.")
    ] = None,
    cold_user: Annotated[
        Strangers | None,
        typer.Option(help="For users unknown to the model; if not given, as exported."),
    ] = None,
    keep_spaces: Annotated[
        bool, typer.Option("--keep-spaces", help="Leave spaces around ids, in files of text.")
    ] = False,
    format: Annotated[TableFormat, typer.Option(help="File format of the parts.")] = (
        TableFormat.PARQUET
    ),
    layout: Annotated[
        Layout, typer.Option(help="A row for each item, or a row with lists for each user.")
    ] = Layout.LONG,
    keep: Annotated[int, typer.Option(help="Runs kept, the new one included; 0: all.")] = 0,
    shard_users: Annotated[int, typer.Option(help="Users a part.")] = 10_000,
    workers: Annotated[int, typer.Option(help="Threads that score; 0: all cores.")] = 0,
    work: Annotated[
        Path | None, typer.Option(help="Folder for unfinished parts of an object store's run.")
    ] = None,
    metrics_file: Annotated[
        Path | None, typer.Option(help="Write figures here in Prometheus' text format.")
    ] = None,
    log_format: LogFormat = "text",
    as_json: AsJson = False,
) -> None:
    """Score every user against every unseen item and publish one table.

    Example: ncf batch --bundle model_store/ncf --out topk -k 10 --seen tonight.csv --keep 7
    """
    if context.invoked_subcommand is not None:
        _refuse_options_before(context)
        return
    if bundle is None:
        raise UsageError("`bundle` is missing", remedy="give the folder that 'ncf export' made")
    set_log_format(log_format)
    run = ncf.batch(
        bundle,
        out=out,
        k=k,
        device=device,
        mode=mode,
        recall=recall,
        seen=seen,
        users=users,
        exclude_items=exclude_items,
        candidates=candidates,
        cold_user=cold_user,
        keep_spaces=keep_spaces,
        format=format,
        layout=layout,
        keep=keep,
        shard_users=shard_users,
        workers=workers,
        work=work,
        metrics_file=metrics_file,
    )
    show(run.figures, as_json=as_json)


def _refuse_options_before(context: typer.Context) -> None:
    """Refuse 'ncf batch --out x show', which would show another table."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"`{name}` stands before 'show'", remedy="put it after")
