"""Time and peak memory of 'ncf data prepare', by rows: what a row costs, and that growth is linear.

python -m benchmarks.prepare --rows 5000000 10000000 20000000
python -m benchmarks.prepare --read --rows 20000000   # reading alone, CSV and Parquet
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
from pyarrow import csv, parquet

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


_READ = """
import sys, time
from pathlib import Path
from ncf.data.readers import read_ratings
wall, cpu = time.monotonic(), time.process_time()
read_ratings(Path(sys.argv[1]))
print(time.monotonic() - wall, time.process_time() - cpu)
"""


def reading(sizes: list[int]) -> None:
    """Print seconds of reading each size as CSV and as Parquet, by the clock and of the CPU."""
    print("file     rows           seconds  CPU seconds  us a row")
    with tempfile.TemporaryDirectory() as scratch:
        text, table = Path(scratch, "ratings.csv"), Path(scratch, "ratings.parquet")
        for rows in sizes:
            write_ratings(text, rows)
            with csv.open_csv(text) as blocks, parquet.ParquetWriter(table, blocks.schema) as file:
                for block in blocks:
                    file.write_batch(block)
            for path in (text, table):
                command = [sys.executable, "-c", _READ, str(path)]
                printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                wall, cpu = map(float, printed.split())
                kind, each = path.suffix[1:], wall / rows * 1e6
                print(f"{kind:8} {rows:<13,} {wall:8.2f} {cpu:12.2f} {each:9.2f}", flush=True)


def main() -> None:
    """Measure each size, both splits, against the floor of a tiny file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 2_000_000])
    parser.add_argument("--read", action="store_true", help="Only read, as CSV and as Parquet.")
    asked = parser.parse_args()
    sizes = asked.rows
    if asked.read:
        reading(sizes)
        return
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
