"""What do engines cost? Seconds to start, milliseconds a shard, memory: beside threads, one run.

    make engines    # or .engines/ray and .engines/spark alone
    python -m benchmarks.engines [--shards 1000] [--repeats 3] [--engine threads --engine spark]

The same users are cut into few and into many shards, which are next to nothing to make: so the
difference in time, over that in shards, is what a shard costs, and a batch of few shards beside
that of threads is what it costs to start and end. Each engine runs ``ncf batch`` in its own
environment, on a cluster of its own of as many cores as threads has threads. Memory is the largest
sum over all processes of the command, pages that several share counted once (PSS).
"""

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.synthetic import make_bundle, make_data
from ncf.models.kinds import Kind

_ROOT = Path(__file__).parents[1]
_FEW = 20
_EVERY = 0.5  # seconds between two looks at the memory


@dataclass(frozen=True)
class Engine:
    """How to run an engine.

    Parameters
    ----------
    ncf : Path
        The command of its environment.
    words : tuple of str
        Its options.
    """

    ncf: Path
    words: tuple[str, ...]


def engines(cores: int) -> dict[str, Engine]:
    """List the engines, each on so many cores."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {
        "threads": (".venv", ("--workers", str(cores)))
    }
    found["ray"] = (".engines/ray", ("--engine", "ray"))  # its own cluster has all cores
    found["spark"] = (".engines/spark", ("--engine", "spark", "--address", f"local[{cores}]"))
    return {
        name: Engine(_ROOT / place / "bin" / "ncf", words) for name, (place, words) in found.items()
    }


@dataclass(frozen=True)
class Cost:
    """What a batch took.

    Parameters
    ----------
    seconds : float
        From start to end of the command.
    mebibytes : float
        Largest memory of all its processes.
    """

    seconds: float
    mebibytes: float


def batch(engine: Engine, bundle: Path, out: Path, users_a_shard: int) -> Cost:
    """Make a table with an engine, and watch its processes."""
    words = ("--mode", "exact", "--device", "cpu", "--no-report", "--shard-users")
    asked = ("batch", "--bundle", bundle, "--out", out, *words, users_a_shard, *engine.words)
    started, largest, looked = time.perf_counter(), 0.0, 0.0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [str(engine.ncf), *map(str, asked)], stdout=said, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            time.sleep(0.02)
            if time.perf_counter() - looked >= _EVERY:
                largest = max(largest, sum(_memory(process.pid)))
                looked = time.perf_counter()
        seconds = time.perf_counter() - started
        said.seek(0)
        if process.returncode:
            raise RuntimeError(said.read().decode(errors="replace"))
    shutil.rmtree(out)
    return Cost(seconds, largest / 2**20)


def _memory(pid: int) -> Iterator[int]:
    """Measure each process of a tree; one that ends meanwhile counts nothing."""
    try:
        tree = [root := psutil.Process(pid), *root.children(recursive=True)]
    except psutil.Error:
        return
    for each in tree:
        try:
            yield each.memory_full_info().pss
        except psutil.Error:
            continue


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cores", type=int, default=psutil.cpu_count() or 1)
    parser.add_argument("--engine", action="append", help="all if not given; threads first")
    arguments = parser.parse_args()
    known = engines(arguments.cores)
    chosen = {name: known[name] for name in arguments.engine or known}
    sizes = {_FEW: arguments.shards // _FEW, arguments.shards: 1}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        data = make_data(scratch / "data", arguments.shards, 300, 20)
        bundle = make_bundle(scratch, data, Kind.GMF, factors=8).path
        costs: dict[tuple[str, int], list[Cost]] = {}
        for _ in range(arguments.repeats):
            for engine, how in chosen.items():
                for shards, users in sizes.items():
                    cost = batch(how, bundle, scratch / "topk", users)
                    costs.setdefault((engine, shards), []).append(cost)
    show(costs, arguments.shards)


def show(costs: dict[tuple[str, int], list[Cost]], many: int) -> None:
    """Print a row for each engine: medians, and the range of what a shard costs."""
    alone = statistics.median(each.seconds for each in next(iter(costs.values())))
    load = psutil.getloadavg()[2]
    print(f"{many:,} shards against {_FEW}; load over 15 minutes {load:.1f}")
    print("| engine | 20 shards, s | more than the first, s | ms a shard | from, to | MiB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for engine in dict.fromkeys(engine for engine, _ in costs):
        few, much = costs[engine, _FEW], costs[engine, many]
        start = statistics.median(each.seconds for each in few)
        pairs = zip(few, much, strict=True)
        shard = [1000 * (b.seconds - a.seconds) / (many - _FEW) for a, b in pairs]
        peak = statistics.median(each.mebibytes for each in much)
        middle = statistics.median(shard)
        told = f"{middle:.1f} | {min(shard):.1f}, {max(shard):.1f} | {peak:,.0f}"
        print(f"| {engine} | {start:.1f} | {start - alone:.1f} | {told} |")


if __name__ == "__main__":
    main()
