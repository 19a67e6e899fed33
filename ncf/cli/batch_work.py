"""``ncf batch work`` makes parts of a plan, and ``ncf batch commit`` publishes them."""

from functools import partial

import ncf
from ncf.cli.batch_options import (
    BundleHere,
    GateFile,
    KeptRuns,
    MetricsFile,
    OfPlan,
    OwnThreads,
    Reported,
    Shards,
    WorkFolder,
)
from ncf.cli.options import AsJson, LogFormat, Runs
from ncf.cli.output import print_json, say, set_log_format, show


def work(
    out: Runs = "topk",
    shards: Shards = None,
    plan: OfPlan = "",
    bundle: BundleHere = None,
    workers: OwnThreads = 0,
    log_format: LogFormat = "text",
    as_json: AsJson = False,
) -> None:
    """Make parts of the plan in --out, unless they are there already.

    Example: ncf batch work --out s3://bucket/topk --shard 0..15
    """
    set_log_format(log_format)
    receipts = ncf.work_batch(out, shards, plan=plan, bundle=bundle, workers=workers)
    if as_json:
        print_json({"parts": [dict(receipt) for receipt in receipts]})
        return
    rows = sum(receipt["rows"] for receipt in receipts)
    say(f"{len(receipts):,} parts, {rows:,} rows")


def commit(
    out: Runs = "topk",
    plan: OfPlan = "",
    keep: KeptRuns = 0,
    bundle: BundleHere = None,
    work: WorkFolder = None,
    metrics_file: MetricsFile = None,
    gate: GateFile = None,
    report: Reported = True,
    log_format: LogFormat = "text",
    as_json: AsJson = False,
) -> None:
    """Check all parts of the plan in --out, and publish them; exit code 4 if a next try is needed.

    Example: ncf batch commit --out s3://bucket/topk --keep 7
    """
    set_log_format(log_format)
    done = partial(ncf.commit_batch, out, plan=plan, keep=keep, bundle=bundle, work=work)
    run = done(metrics_file=metrics_file, gate=gate, report=report)
    show(run.figures, as_json=as_json)
