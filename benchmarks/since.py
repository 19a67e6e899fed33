"""Time a table of which few users changed: taken over from the table before, and ranked whole.

    python -m benchmarks.since

Both runs are done in a process of their own, on the same files; their bytes are compared. The
network is a NeuMF of the default shape with random weights, ranked exactly.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from batch.filters import Filters
from batch.job import Job
from batch.options import Mode
from batch.pipeline import run_batch
from benchmarks.synthetic import make_bundle, make_data
from ncf.models.kinds import Kind
from ncf.scoring.bundle import open_bundle

_FIRST, _SECOND = (datetime(2026, 11, day, 3, 0, tzinfo=UTC) for day in (23, 24))


def run(folder: Path, out: str, seen: str, since: str) -> dict[str, float]:
    """Run a batch in this process: seconds, and peak memory in MiB."""
    started, worked = time.perf_counter(), time.process_time()
    job = Job(
        folder / "ncf",
        folder / out,
        mode=Mode.EXACT,
        filters=Filters(seen=folder / seen),
        since=str(folder / since) if since else None,
    )
    figures = run_batch(job, _FIRST if out == "before" else _SECOND)
    seconds, processor = time.perf_counter() - started, time.process_time() - worked
    found = {"seconds": round(seconds, 2), "processor_seconds": round(processor, 2)}
    found["mib"] = figures["peak_memory_bytes"] >> 20
    return {**found, "ranked": figures.get("since", {}).get("users_ranked", figures["users"])}


def write_seen(folder: Path, users: int, items: int, share: float) -> None:
    """Write what users took until the night before, and until the night after."""
    rng = np.random.default_rng(1)
    bundle = open_bundle(folder / "ncf")

    def taken(count: int) -> pd.DataFrame:
        who = rng.permutation(users)[:count]
        found = pd.DataFrame({"user_id": who.astype(str)})
        found["item_id"] = rng.integers(0, items, count).astype(str)
        known = bundle.seen.pairs(np.sort(who))
        keys = set((np.sort(who)[known[:, 0]] * items + known[:, 1]).tolist())
        fresh = [int(u) * items + int(i) not in keys for u, i in found.itertuples(index=False)]
        return found[fresh]

    before = taken(int(2 * share * users))
    before.to_csv(folder / "before.csv", index=False)
    both = pd.concat([before, taken(int(share * users))])
    both.drop_duplicates().to_csv(folder / "after.csv", index=False)


def main() -> None:
    """Print a line for each way, then the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--each", type=int, default=50, help="interactions of a user")
    parser.add_argument("--changed", type=float, default=0.03)
    parser.add_argument("--run", nargs=4, metavar="WORD", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        folder, *words = asked.run
        print(json.dumps(run(Path(folder), *words)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = make_data(folder / "data", asked.users, asked.items, asked.each)
        make_bundle(folder, data, Kind.NEUMF)
        write_seen(folder, asked.users, asked.items, asked.changed)
        took = {}
        for words in (
            ("before", "before.csv", ""),
            ("whole", "after.csv", ""),
            ("taken", "after.csv", "before"),
        ):
            found = _apart(folder, *words)
            took[words[0]] = found
            print(f"{words[0]:8} {json.dumps(found)}", flush=True)
        for name in ("seconds", "processor_seconds"):
            print(f"ratio of {name}: {took['whole'][name] / took['taken'][name]:.1f}")
        print(f"same bytes: {_parts(folder / 'whole') == _parts(folder / 'taken')}")


def _apart(folder: Path, *words: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.since", "--run", str(folder), *words]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    return figures


def _parts(out: Path) -> dict[str, bytes]:
    run = out / (out / "LATEST").read_text().strip()
    return {
        path.name: path.read_bytes() for path in run.iterdir() if path.suffix.startswith(".parq")
    }


if __name__ == "__main__":
    main()
