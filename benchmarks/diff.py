"""Time ``ncf diff`` on two tables, and its peak memory, as the number of users grows.

    python -m benchmarks.diff

The tables are written with lists drawn by popularity; half of each list changes, and the users
are in another order. Each comparison runs in a process of its own. Besides, the same comparison
is done by pandas: both tables read whole, and joined by user and item, for the overlap alone.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

import ncf
from batch.tables import Lists, write_lists
from tests.batch.written import LONG, sealed

NAMES = ("20261124T030000Z-aaaaaaaa", "20261125T030000Z-bbbbbbbb")
SHARD = 10_000


def write_tables(out: Path, users: int, k: int, items: int) -> None:
    """Write two tables of so many users."""
    rng = np.random.default_rng(7)
    ids = pa.array([f"item {n}" for n in range(items)])
    for number, name in enumerate(NAMES):
        folder, rows = out / name, {}
        folder.mkdir(parents=True)
        order = np.arange(users) if number == 0 else rng.permutation(users)
        for start in range(0, users, SHARD):
            some = order[start : start + SHARD]
            rows[LONG.part(start // SHARD)] = some.size * k
            with (folder / LONG.part(start // SHARD)).open("wb") as file:
                write_lists(_lists(some, k, items, number), ids, LONG, file)
        sealed(folder, LONG, {"model": users}, rows, k=k, shard_users=SHARD, sequence=number + 1)


def _lists(users: npt.NDArray[np.int64], k: int, items: int, number: int) -> Lists:
    """Draw lists by user: the same first half in each table, and another second half."""
    start = (users[:, None] * 7919 + np.arange(k) * 31) % (items // 2)
    start[:, k // 2 :] += number * (items // 2)
    scores = np.tile(np.linspace(3, 1, k, dtype=np.float32), users.size) + number
    names = [f"user {user}" for user in users.tolist()]
    flags = np.zeros(users.size, np.int64)
    return Lists(names, np.full(users.size, k), start.ravel(), scores, flags)


def measure(way: str, out: Path) -> dict[str, float]:
    """Compare in this process: seconds, mean overlap and peak memory in MiB."""
    started = time.perf_counter()
    if way == "ncf":
        overlap = ncf.diff(out=out)["overlap"]["mean"]
    else:
        a, b = (pd.read_parquet(out / name) for name in NAMES)
        common = a.merge(b, on=["user_id", "item_id"]).groupby("user_id").size()
        overlap = common.sum() / a.user_id.nunique() / a["rank"].max()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": round(seconds, 2), "overlap": round(overlap, 4), "mib": round(peak)}


def main() -> None:
    """Print a line for each way and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "OUT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.measure[0], Path(asked.measure[1]))))
        return
    for users in asked.users:
        with tempfile.TemporaryDirectory() as folder:
            write_tables(Path(folder), users, asked.k, asked.items)
            for way in ("ncf", "pandas"):
                words = [sys.executable, "-m", "benchmarks.diff", "--measure", way, folder]
                ran = subprocess.run(words, check=True, capture_output=True, text=True)
                print(f"{users:>9,} users  {way:6}  {ran.stdout.strip()}")


if __name__ == "__main__":
    main()
