"""Time and peak memory of 'ncf data prepare', by rows: what a row costs, and that growth is linear.

python -m benchmarks.prepare --rows 5000000 10000000 20000000
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

_CHUNK = 1_000_000


def write_ratings(path: Path, rows: int, seed: int = 0) -> None:
    """Write synthetic ratings like MovieLens-20M's: users and items by popularity, Unix seconds."""
    rng = np.random.default_rng(seed)
    n_users, n_items = max(1, rows // 144), 26_744
    names = ["user_id", "item_id", "rating", "timestamp"]
    with path.open("wb") as file:
        for start in range(0, rows, _CHUNK):
            size = min(_CHUNK, rows - start)
            columns = [
                rng.integers(0, n_users, size),
                (n_items * rng.random(size) ** 3).astype(np.int64),
                rng.integers(1, 11, size) / 2,
                rng.integers(789_652_009, 1_427_784_002, size),
            ]
            table = pa.table([pa.array(column) for column in columns], names=names)
            options = csv.WriteOptions(include_header=start == 0, quoting_style="none")
            csv.write_csv(table, file, options)


def peak_and_seconds(command: list[str]) -> tuple[int, float]:
    """Peak resident bytes and wall seconds of one command."""
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return usage.ru_maxrss * 1024, time.monotonic() - started


def main() -> None:
    """Measure each size, both splits, against the floor of a tiny file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 2_000_000])
    sizes = parser.parse_args().rows
    print("split          rows        seconds  us a row  peak MiB  bytes a row above the floor")
    with tempfile.TemporaryDirectory() as scratch:
        ratings = Path(scratch, "ratings.csv")
        for split in ("leave-one-out", "random"):
            floor = 0
            for rows in (1000, *sizes):
                write_ratings(ratings, rows)
                command = [sys.executable, "-c", "from ncf.cli import main; main()"]
                command += f"data prepare --format csv --split {split} --ratings".split()
                peak, seconds = peak_and_seconds([*command, str(ratings), "--out", f"{scratch}/d"])
                floor = floor or peak
                each = (peak - floor) / rows
                print(
                    f"{split:14} {rows:<11,} {seconds:7.1f} {1e6 * seconds / rows:9.2f} "
                    f"{peak >> 20:9,} {each:8.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
