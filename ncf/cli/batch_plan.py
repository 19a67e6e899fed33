"""``ncf batch plan`` writes down what workers need, and makes none of the table."""

from functools import partial

import ncf
from batch.options import Layout, Mode, TableFormat
from ncf.cli.batch_options import (
    BundleToPlan,
    CandidatesFile,
    Columns,
    ExcludedFile,
    ExcludedPairsFile,
    ForStrangers,
    KeepSpaces,
    LeastRecall,
    LikeRun,
    OfDate,
    PartFormat,
    PartLayout,
    RankingMode,
    Refresh,
    SeenFile,
    SinceRun,
    UsersAPart,
    UsersFile,
    WorkFolder,
)
from ncf.cli.options import AsJson, Length, LogFormat, Runs, Where
from ncf.cli.output import set_log_format, show
from ncf.devices import Device


def plan(
    bundle: BundleToPlan,
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
    shard_users: UsersAPart = 10_000,
    work: WorkFolder = None,
    date: OfDate = None,
    log_format: LogFormat = "text",
    as_json: AsJson = False,
) -> None:
    """Plan a table, whose parts any machine that reaches --out can then make with 'ncf batch work'.

    Example: ncf batch plan --bundle model_store/ncf --out s3://bucket/topk --seen tonight.csv
    """
    set_log_format(log_format)
    table = partial(ncf.plan_batch, bundle, out=out, k=k, device=device, mode=mode, recall=recall)
    table = partial(table, seen=seen, users=users, exclude_items=exclude_items)
    table = partial(table, candidates=candidates, cold_user=cold_user, format=format, layout=layout)
    table = partial(table, shard_users=shard_users, work=work)
    table = partial(table, columns=columns, keep_spaces=keep_spaces, like=like)
    table = partial(table, exclude_pairs=exclude_pairs, refresh=refresh)
    table = partial(table, since=since, date=date)
    show(table(), as_json=as_json)
