"""Is ``--mode auto`` ever slower than the better of its two choices? Over models and sizes.

Each row times ``ncf batch`` end to end, exact and auto in turn, and prints the best of each, in
seconds and in seconds of processor time, which other programs disturb less.

    python -m benchmarks.auto --checkpoint checkpoints/mine --data data/mine
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from batch.job import Job
from batch.options import Mode
from batch.pipeline import run_batch
from benchmarks.batch import more_users
from benchmarks.screen import blown_up, first_users
from benchmarks.synthetic import make_bundle, make_data
from export.publish import publish
from export.source import Source
from ncf.data.prepared import open_data
from ncf.devices import Device
from ncf.models.architecture import Architecture
from ncf.models.kinds import Kind
from ncf.models.weights import Weights
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.training.checkpoint import open_checkpoint, write_checkpoint
from ncf.training.manifest import Outcome
from ncf.training.trained import Trained

_REPEATS = 3


def exported(folder: Path, weights: Weights, architecture: Architecture, each: int = 95) -> Bundle:
    """Export weights as a bundle, with made-up seen items."""
    data = make_data(folder / "data", architecture.n_users, architecture.n_items, each)
    trained = Trained(architecture, weights, [], Outcome("neumf"))
    write_checkpoint(folder / "checkpoint", trained, data)
    publish(Source(open_checkpoint(folder / "checkpoint"), data), folder, "ncf")
    return open_bundle(folder / "ncf")


def worlds(folder: Path, checkpoint: Path, prepared: Path) -> Iterator[tuple[str, Bundle, int]]:
    """Yield a title, a bundle and K: the trained model at some sizes, then adversaries."""
    trained = open_checkpoint(checkpoint)
    shape = trained.architecture
    publish(Source(trained, open_data(prepared)), folder / "own", "ncf")
    own = open_bundle(folder / "own" / "ncf")
    yield "trained", own, 10
    yield "trained, K = 100", own, 100
    yield "trained, huge K", own, 1000
    for users in (300, 1500, 3000):
        few = first_users(trained.weights, users)
        sized = replace(shape, n_users=users)
        yield f"{users:,} users", exported(folder / f"few{users}", few, sized), 10
    more = more_users(folder / "more", checkpoint, 4)
    publish(Source(open_checkpoint(more), open_data(folder / "more" / "data")), folder, "many")
    yield "4 times the users", open_bundle(folder / "many"), 10
    copies = blown_up(first_users(trained.weights, 1000), 20_000)
    big = replace(shape, n_users=1000, n_items=20_000)
    yield "near copies, 20,000 items", exported(folder / "copies", copies, big), 10
    nearly = exported(folder / "seen", trained.weights, shape, each=3000)
    yield "few unseen", nearly, 10
    data = make_data(folder / "random", 3000, 3500, 95)
    for layers in (1, 3):
        yield (
            f"random towers, {layers} layers",
            make_bundle(folder / f"random{layers}", data, Kind.MLP, layers),
            10,
        )


def seconds(bundle: Bundle, out: Path, k: int, mode: Mode) -> tuple[float, float, str]:
    """Time a batch, elapsed and of processor; also say how it ranked."""
    job = Job(bundle.path, out, k, Device.CPU, mode=mode)
    began, started = time.process_time(), time.perf_counter()
    figures = run_batch(job, datetime.now(UTC))
    elapsed, processor = time.perf_counter() - started, time.process_time() - began
    return elapsed, processor, str(figures["mode"])


def main() -> None:
    """Print a row for each world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=_REPEATS)
    arguments = parser.parse_args()
    columns = f"{'exact':>8} {'auto':>8} {'ratio':>6}"
    print(f"{'world':28} {columns}  processor:{columns}  auto ranked")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for title, bundle, k in worlds(folder, arguments.checkpoint, arguments.data):
            times: dict[Mode, list[tuple[float, float]]] = {Mode.EXACT: [], Mode.AUTO: []}
            how = ""
            for _ in range(arguments.repeats):
                for mode, found in times.items():
                    *took, how = seconds(bundle, folder / "topk", k, mode)
                    found.append((took[0], took[1]))
            exact, auto = (np.min(found, axis=0) for found in times.values())
            parts = [
                f"{one:8.2f} {other:8.2f} {other / one:6.2f}"
                for one, other in zip(exact, auto, strict=True)
            ]
            print(f"{title:28} {'            '.join(parts)}  {how}", flush=True)


if __name__ == "__main__":
    main()
