"""What do a plan, receipts and a commit cost? Milliseconds a shard, and the seconds of a commit.

    python -m benchmarks.plan [--peer FOLDER] [--shards 10000]

A table of the same users is cut into few and into many shards; the difference in time, over the
difference in shards, is what a shard costs besides scoring: opening, closing and flushing files,
writing Parquet, receipts, reading back. With ``--peer``, a checkout of an earlier version makes the
same tables, in turns. Then a plan of many shards is made, worked on and committed in processes of
their own, whose peak memory is printed.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.synthetic import make_bundle, make_data
from ncf.models.kinds import Kind

_FEW, _MANY = 20, 1000

_TABLE = """
import json, logging, sys, time
from datetime import UTC, datetime
from pathlib import Path
from batch.job import Job
from batch.options import Mode
from batch.pipeline import run_batch
from ncf.devices import Device
logging.disable(logging.CRITICAL)
bundle, out, shards, users = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
started = time.perf_counter()
job = Job(bundle, out, 10, Device.CPU, -(-users // shards), workers=1, mode=Mode.EXACT)
run_batch(job, datetime.now(UTC))
print(json.dumps(time.perf_counter() - started))
"""

_STEP = """
import json, logging, sys, time
from datetime import UTC, datetime
from pathlib import Path
from batch.job import Job
from batch.memory import peak_memory
from batch.options import Mode
from batch.pieces import commit_batch, work_on
from batch.pipeline import plan_batch
from ncf.devices import Device
logging.disable(logging.CRITICAL)
latest = 0.0
step, bundle, out, shards, users = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
started, now = time.perf_counter(), time.time()
if step == "plan":
    job = Job(Path(bundle), out, 10, Device.CPU, -(-users // shards), mode=Mode.EXACT)
    plan_batch(job, datetime.now(UTC))
elif step == "work":
    work_on(out, range(shards))
else:
    commit_batch(out)
    latest = Path(out, "LATEST").stat().st_mtime - now
print(json.dumps([time.perf_counter() - started, peak_memory() / 2**20, latest]))
"""


def ran(program: str, checkout: Path, *words: object) -> list[float]:
    """Run a program in a process of its own, with the modules of a checkout."""
    ended = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(ended.stdout)
    return found if isinstance(found, list) else [found]


def a_shard(checkout: Path, bundle: Path, scratch: Path, users: int) -> float:
    """Measure what one more shard costs, in milliseconds."""
    seconds = {}
    for shards in (_FEW, _MANY):
        out = scratch / "topk"
        (seconds[shards],) = ran(_TABLE, checkout, bundle, out, shards, users)
        shutil.rmtree(out)
    return 1000 * (seconds[_MANY] - seconds[_FEW]) / (_MANY - _FEW)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, help="checkout of an earlier version")
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="scratch, on the disk to measure")
    arguments = parser.parse_args()
    here = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        scratch = Path(name)
        users = arguments.shards
        data = make_data(scratch / "data", users, 300, 20)
        bundle = make_bundle(scratch, data, Kind.GMF, factors=8).path
        versions = {"this version": here}
        if arguments.peer is not None:
            versions["the peer"] = arguments.peer.absolute()
        found: dict[str, list[float]] = {each: [] for each in versions}
        for _ in range(arguments.repeats):
            for each, checkout in versions.items():
                found[each].append(a_shard(checkout, bundle, scratch, users))
        for each, costs in found.items() if arguments.repeats else ():
            told = ", ".join(f"{cost:.2f}" for cost in costs)
            print(f"{each}: median {statistics.median(costs):.2f} ms a shard ({told})")
        for shards in (_MANY, arguments.shards):
            for step in ("plan", "work", "commit"):
                words = (step, bundle, scratch / "pieces", shards, users)
                seconds, peak, latest = ran(_STEP, here, *words)
                told = f", LATEST after {latest:.2f} s" if latest else ""
                print(f"{step} of {shards:,} shards: {seconds:.2f} s{told}, peak {peak:.0f} MiB")
            size = sum(each.stat().st_size for each in (scratch / "pieces").rglob("part-*"))
            print(f"parts of {shards:,} shards: {size / 2**20:.1f} MiB")
            shutil.rmtree(scratch / "pieces")


if __name__ == "__main__":
    main()
