"""Dagster: the table of the night as an asset of days. ``dagster dev -f dagster_nightly.py``.

The batch makes the run of a date once. Exit code 75 is tried again, and all others fail the run at
once. A backfill is a materialisation of past days; LATEST never goes back to an earlier date.
"""

import subprocess
from pathlib import Path

import dagster as dg

HOME = Path("/var/lib/ncf")
NCF = "/opt/ncf/bin/ncf"
TEMPORARY = {75, 130}  # busy or out of reach; stopped

days = dg.DailyPartitionsDefinition(start_date="2026-11-01", end_offset=1)


def run(*words: str) -> None:
    """Run a command in HOME; the exit code decides whether Dagster tries the step again."""
    code = subprocess.run([NCF, *words], cwd=HOME, check=False).returncode
    if code in TEMPORARY:
        raise dg.RetryRequested(max_retries=3, seconds_to_wait=600)
    if code:
        said = f"'ncf {words[0]}' ended with exit code {code}; its log says why"
        raise dg.Failure(said, allow_retries=False)


@dg.asset(partitions_def=days)
def bundle(context: dg.AssetExecutionContext) -> None:
    """Train and export the model of a day."""
    day, night = context.partition_key, f"nights/{context.partition_key}"
    data = ("--data", f"{night}/data")
    run("data", "prepare", "--ratings", f"ratings/{day}.csv", "--out", f"{night}/data")
    run("train", *data, "--model", "gmf", "--out", f"{night}/checkpoint", "--resume")
    run("export", *data, "--checkpoint", f"{night}/checkpoint", "--out", f"{night}/store")


@dg.asset(partitions_def=days, deps=[bundle])
def table(context: dg.AssetExecutionContext) -> None:
    """Publish every user's list, unless a gate fails."""
    day = context.partition_key
    words = ("--out", "topk", "--date", day, "--gate", "gates.toml", "--keep", "7")
    run("batch", "--bundle", f"nights/{day}/store/ncf", *words)


nightly = dg.define_asset_job("ncf_nightly", [bundle, table], partitions_def=days)
schedule = dg.build_schedule_from_partitioned_job(nightly, hour_of_day=3, minute_of_hour=17)
defs = dg.Definitions(assets=[bundle, table], jobs=[nightly], schedules=[schedule])
