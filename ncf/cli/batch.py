"""``ncf batch`` publishes a table with every user's top-K list."""

from functools import partial

import typer

import ncf
from batch.options import EngineName, Layout, Mode, TableFormat
from ncf.cli.batch_options import (
    AtAddress,
    BatchBundle,
    CandidatesFile,
    Columns,
    ExcludedFile,
    ExcludedPairsFile,
    ForStrangers,
    GateFile,
    KeepSpaces,
    KeptRuns,
    LeastRecall,
    LikeRun,
    MetricsFile,
    OfDate,
    OnEngine,
    PartFormat,
    PartLayout,
    Patience,
    RankingMode,
    Refresh,
    Reported,
    SeenFile,
    SinceRun,
    Threads,
    UsersAPart,
    UsersFile,
    WorkFolder,
)
from ncf.cli.options import AsJson, Length, LogFormat, Runs, Where
from ncf.cli.output import set_log_format, show
from ncf.devices import Device
from ncf.errors import UsageError


def batch(
    context: typer.Context,
    bundle: BatchBundle = None,
    out: Runs = "topk",
    k: Length = 10,
    device: Where = Device.AUTO,
    mode: RankingMode = Mode.AUTO,
    recall: LeastRecall = 0.999,
    like: LikeRun = None,
    since: SinceRun = None,
    seen: SeenFile = None,
    users: UsersFile = None,
    exclude_items: ExcludedFile = None,
    candidates: CandidatesFile = None,
    exclude_pairs: ExcludedPairsFile = None,
    refresh: Refresh = False,
    cold_user: ForStrangers = None,
    columns: Columns = None,
    keep_spaces: KeepSpaces = False,
    format: PartFormat = TableFormat.PARQUET,
    layout: PartLayout = Layout.LONG,
    keep: KeptRuns = 0,
    shard_users: UsersAPart = 10_000,
    workers: Threads = 0,
    work: WorkFolder = None,
    metrics_file: MetricsFile = None,
    gate: GateFile = None,
    date: OfDate = None,
    report: Reported = True,
    engine: OnEngine = EngineName.THREADS,
    address: AtAddress = None,
    patience: Patience = 1800.0,
    log_format: LogFormat = "text",
    as_json: AsJson = False,
) -> None:
    """Score every user against every unseen item and publish one table.

    Example: ncf batch --bundle model_store/ncf --out topk -k 10 --seen tonight.csv --keep 7
    """
    if _is_of_a_command_below(context):
        return
    set_log_format(log_format)
    table = partial(ncf.batch, _given(bundle), out=out, k=k, device=device, mode=mode)
    table = partial(table, seen=seen, users=users, exclude_items=exclude_items, refresh=refresh)
    table = partial(table, candidates=candidates, cold_user=cold_user, format=format, layout=layout)
    table = partial(table, keep=keep, shard_users=shard_users, workers=workers, work=work)
    table = partial(table, columns=columns, keep_spaces=keep_spaces, like=like, since=since)
    table = partial(table, exclude_pairs=exclude_pairs, metrics_file=metrics_file, gate=gate)
    table = partial(table, engine=engine, address=address, patience=patience, recall=recall)
    show(table(date=date, report=report).figures, as_json=as_json)


def _given(bundle: str | None) -> str:
    if bundle is None:
        raise UsageError(
            "`bundle` is missing", remedy="give the folder that 'ncf export' made, or its URI"
        )
    return bundle


def _is_of_a_command_below(context: typer.Context) -> bool:
    """Refuse 'ncf batch --out x show', which would ignore --out and show another table."""
    command = context.invoked_subcommand
    if command is None:
        return False
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"`{name}` comes before '{command}'", remedy=f"put it after '{command}'"
            )
    return True
