"""One epoch over growing worlds: seconds a million interactions, and peak memory; a process each.

    python -m benchmarks.train_growth [--interactions 1000000 10000000] [--way blocks]

A hundred interactions a user, popular items more often than others; GMF by blocks of users, and by
four sampled negatives. The floor is the memory of a world of 10,000 interactions.
"""

import argparse
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np

from ncf.data.interactions import Interactions
from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Kind, Variant
from ncf.models.networks import GMF
from ncf.progress import Reporter
from ncf.training.block_epochs import BlockEpochs
from ncf.training.names import Named
from ncf.training.ranks import ALONE
from ncf.training.recipe import named_recipe
from ncf.training.sampled_epochs import SampledEpochs
from ncf.training.schedule import Blocks, Schedule

_EACH = 100
_USERS_AT_ONCE = 10_000


def main() -> None:
    """Print a row a world."""
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = [1_000_000, 10_000_000, 100_000_000]
    parser.add_argument("--interactions", type=int, nargs="+", default=sizes)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--factors", type=int, default=8)
    parser.add_argument("--way", choices=WAYS, action="append", help="both if not given")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    ways = arguments.way or list(WAYS)
    if arguments.one:
        found = measure(arguments.one, arguments.items, arguments.factors, WAYS[ways[0]])
        print(json.dumps(found))
        return
    print(
        "way      interactions  users      prepare s  epoch s  s a million  peak MiB  "
        "bytes an interaction"
    )
    floors: dict[str, int] = {}
    for size, way in itertools.product((10_000, *arguments.interactions), ways):
        shape = ["--items", str(arguments.items), "--factors", str(arguments.factors)]
        one = ["--one", str(size), "--way", way, *shape]
        command = [sys.executable, "-m", "benchmarks.train_growth", *one]
        ended = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(ended.stdout)
        peak = found["peak"]
        floor = floors.setdefault(way, peak)
        print(
            f"{way:7}  {found['interactions']:12,}  {found['users']:9,}  {found['prepare']:9.1f}  "
            f"{found['epoch']:7.1f}  {found['epoch'] / found['interactions'] * 1e6:11.2f}  "
            f"{peak / 2**20:8,.0f}  {(peak - floor) / found['interactions']:20.0f}",
            flush=True,
        )


def measure(size: int, n_items: int, factors: int, way: "Way") -> dict[str, float]:
    """Train one epoch, model and optimizer included in the memory."""
    train = world(size // _EACH, n_items)
    peak = Peak()
    started = time.perf_counter()
    network = build(Architecture(Kind.GMF, train.n_users, n_items, factors, 1))
    epochs = way(cast("GMF", network), train)
    prepared = time.perf_counter()
    epochs.train(0, 0, Reporter("train", None, None))
    return {
        "interactions": len(train),
        "users": train.n_users,
        "prepare": prepared - started,
        "epoch": time.perf_counter() - prepared,
        "peak": peak.bytes,
    }


def by_blocks(network: GMF, train: Interactions) -> BlockEpochs:
    """Learn from all pairs, as the default recipe does."""
    schedule = named_recipe(Named.DEFAULT, Variant.GMF).schedule
    return BlockEpochs(network, schedule, schedule.blocks or Blocks(), train, ALONE)


def by_samples(network: GMF, train: Interactions) -> SampledEpochs:
    """Learn from four negatives for each pair, in large steps."""
    schedule = Schedule(batch_size=16_384, learning_rate=0.003)
    return SampledEpochs(network, schedule, train, ALONE, amp=False)


Way = Callable[[GMF, Interactions], BlockEpochs | SampledEpochs]
WAYS: dict[str, Way] = {"blocks": by_blocks, "sampled": by_samples}


def world(n_users: int, n_items: int) -> Interactions:
    """Draw distinct pairs, users ascending."""
    rng = np.random.default_rng(0)
    users = np.empty(n_users * _EACH, np.int32)
    items = np.empty(n_users * _EACH, np.int32)
    filled = 0
    for start in range(0, n_users, _USERS_AT_ONCE):
        count = min(_USERS_AT_ONCE, n_users - start)
        drawn = (n_items * rng.random((count, _EACH)) ** 2).astype(np.int64)
        pairs = np.unique(drawn + np.arange(start, start + count)[:, None] * n_items)
        part = slice(filled, filled + pairs.size)
        users[part], items[part] = np.divmod(pairs, n_items)
        filled += pairs.size
    return Interactions(users[:filled].copy(), items[:filled].copy(), n_users, n_items)


class Peak:
    """Largest memory of this process that is not a mapped file, looked at often."""

    def __init__(self) -> None:
        self.bytes = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
                if line.startswith("RssAnon"):
                    self.bytes = max(self.bytes, int(line.split()[1]) * 1024)
            time.sleep(0.02)


if __name__ == "__main__":
    main()
