"""``ncf batch`` and ``ncf batch show``: every user's top-K as one published table."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from batch.options import Layout, Mode, TableFormat
from ncf.cli.flags import Command, Group
from ncf.cli.output import AsJson, Length, LogFormat, print_json, say, set_log_format, show
from ncf.devices import Device
from ncf.errors import UsageError
from ncf.policies import Strangers

app = typer.Typer(cls=Group, invoke_without_command=True, rich_markup_mode=None)

Out = Annotated[str, typer.Option(help="Folder of all runs, or a URI such as s3://bucket/topk.")]


@app.callback()
def batch(
    context: typer.Context,
    bundle: Annotated[Path | None, typer.Option(help="Folder that 'ncf export' made.")] = None,
    out: Out = "topk",
    k: Length = 10,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.AUTO,
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
    format: Annotated[
        TableFormat, typer.Option("--format", help="File format of the parts.")
    ] = TableFormat.PARQUET,
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
        raise UsageError("--bundle is missing", remedy="give the folder that 'ncf export' made")
    if not out:
        raise UsageError("--out is empty", remedy="give a folder, or leave it out for 'topk'")
    from batch.filters import Filters
    from batch.job import Job
    from batch.metrics import metrics_of
    from batch.pipeline import run_batch
    from batch.tables import Style

    set_log_format(log_format)
    filters = Filters(seen, users, exclude_items, candidates, cold_user)
    with metrics_of(metrics_file) as record:
        style = Style(format, layout)
        machine = (device, shard_users, workers)
        job = Job(bundle, out, k, *machine, filters, style, keep, work, mode, recall)
        figures = run_batch(job, datetime.now(UTC))
        record(figures)
    show(figures, as_json=as_json)


def _refuse_options_before(context: typer.Context) -> None:
    """Refuse 'ncf batch --out x show', which would show another table."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"--{name.replace('_', '-')} stands before 'show'", remedy="put it after"
            )


@app.command("show", cls=Command)
def show_user(
    user: Annotated[str, typer.Option(help="Raw user id.")],
    out: Out = "topk",
    as_json: AsJson = False,
) -> None:
    """Print a user's rows of the newest table.

    Example: ncf batch show --out topk --user 196
    """
    from pandas import isna

    from batch.show import rows_of
    from ncf.columns import Columns

    run, rows = rows_of(out, user)
    if rows.empty:
        raise UsageError(
            f"user {user!r} has no row in run {run}", where=out, remedy="check the id and the run"
        )
    policy = rows[Columns.POLICY].iloc[0]
    scores = [None if isna(score) else float(score) for score in rows[Columns.SCORE]]
    items = list(zip(rows[Columns.RANK].tolist(), rows[Columns.ITEM_ID], scores, strict=True))
    if as_json:
        named = [dict(zip(("rank", "item", "score"), each, strict=True)) for each in items]
        print_json({"run": run, "user": user, "policy": policy, "items": named})
        return
    say(f"user {user} in run {run} ({policy})")
    table = Table("rank", "item", "score")
    for rank, item, score in items:
        table.add_row(str(rank), Text(item), "" if score is None else f"{score:.4f}")
    Console().print(table)
