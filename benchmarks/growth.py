"""Batch runs of growing worlds: seconds and peak memory, each run in a process of its own.

Random weights, GMF and a small MLP; the floor is the memory of a run over ten users.

    python -m benchmarks.growth [--users 10000 100000 1000000] [--items 3500]
    python -m benchmarks.growth --users 1000 --items 200000 --kinds neumf
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.synthetic import make_bundle, make_data
from ncf.models.kinds import Kind

_EACH = 20  # interactions a user
_RUN = """
import json, logging, sys, threading, time
from datetime import UTC, datetime
from pathlib import Path
from batch.job import Job
from batch.pipeline import run_batch
from ncf.devices import Device

peak = 0
def anonymous():
    global peak
    while True:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                peak = max(peak, int(line.split()[1]) * 1024)
        time.sleep(0.01)
threading.Thread(target=anonymous, daemon=True).start()
figures = run_batch(Job(Path(sys.argv[1]), sys.argv[2], 10, Device.CPU), datetime.now(UTC))
print(json.dumps({**figures, "anonymous": peak}))
"""


def measure(kind: Kind, n_users: int, n_items: int, layers: int, factors: int) -> dict[str, Any]:
    """Score a world; users a second, seconds, and bytes of memory: all of it, and not mapped."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = make_data(folder / "data", n_users, n_items, _EACH)
        bundle = make_bundle(folder, data, kind, layers, factors)
        command = [sys.executable, "-c", _RUN, str(bundle.path), str(folder / "topk")]
        ended = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(ended.stdout)
    return figures


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--items", type=int, default=3_500)
    parser.add_argument("--kinds", type=Kind, nargs="+", default=[Kind.GMF, Kind.MLP])
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--factors", type=int, default=8)
    arguments = parser.parse_args()
    mib = 1 << 20
    print("kind      users     items  users/s  seconds  not mapped  over floor  peak with mapped")
    for kind in arguments.kinds:
        shape = (arguments.layers, arguments.factors)
        floor = measure(kind, 10, 50, *shape)["anonymous"]
        for n_users in arguments.users:
            found = measure(kind, n_users, arguments.items, *shape)
            seconds, anonymous = found["seconds"]["total"], found["anonymous"]
            print(
                f"{kind.value:6} {n_users:8,} {arguments.items:9,} {n_users / seconds:8,.0f}"
                f" {seconds:8.1f} {anonymous / mib:7,.0f} MiB {(anonymous - floor) / mib:6,.0f} MiB"
                f" {found['peak_memory_bytes'] / mib:13,.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
