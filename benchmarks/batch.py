"""Every user's top 10, the ways there are, in one run on one model and machine.

Rows that would take long are timed on a slice of the users and say so. The roofline is what the
measured rate of matrix products allows for the arithmetic that factoring leaves, per pair.

    python -m benchmarks.batch
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from batch.job import Job
from batch.run import run
from benchmarks.synthetic import make_bundle, make_data
from ncf.devices import Device
from ncf.models.kinds import Kind
from ncf.scoring.bundle import Bundle
from ncf.scoring.sessions import open_cpu
from ncf.training.checkpoint import open_checkpoint

_SLICE = 200  # users


def tutorial_loop(bundle: Bundle, users: int) -> None:
    """Score one user over all items in PyTorch, argsort, drop what is seen; user after user."""
    model = open_checkpoint(bundle.path.parent / "checkpoint").model()
    items = torch.arange(bundle.n_items)
    with torch.no_grad():
        for user in range(users):
            scores = model(torch.full_like(items, user), items).numpy()
            seen = set(bundle.seen.of(user).tolist())
            [item for item in np.argsort(-scores).tolist() if item not in seen][:10]


def pair_graph(bundle: Bundle, users: int) -> None:
    """Run score.onnx for one user over all items; user after user."""
    session = open_cpu(bundle.score_graph)
    items = np.arange(bundle.n_items)
    for user in range(users):
        (scores,) = session.run(None, {"user": np.full_like(items, user), "item": items})
        scores[bundle.seen.of(user)] = -np.inf
        top = np.argpartition(-scores, 10)[:10]
        top[np.argsort(-scores[top])]


def end_to_end(bundle: Bundle, out: Path) -> None:
    """Run ncf batch: everything, Parquet and publishing included."""
    run(Job(bundle.path, out, 10, Device.CPU), datetime.now(UTC))


def flops_a_pair(bundle: Bundle) -> float:
    """Floating point operations of the factored graph, per user and item."""
    model = bundle.manifest["model"]
    factors, layers = model["factors"], model["layers"]
    widths = [factors * 2 ** (layers - 1 - layer) for layer in range(layers)]
    later = sum(2 * a * b for a, b in itertools.pairwise(widths))
    by_kind = {"gmf": 2 * factors, "mlp": later + 2 * factors, "neumf": later + 4 * factors}
    return float(by_kind[model["kind"]])


def gemm_rate() -> float:
    """Matrix products a second on all cores, in floating point operations; best of five."""
    one = torch.rand(2048, 2048)
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        one @ one
        rates.append(2 * 2048**3 / (time.perf_counter() - started))
    return max(rates)


def rate(work: Callable[[], None], users: int, repeats: int) -> float:
    """Users a second, best of some repeats."""
    best = 0.0
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        best = max(best, users / (time.perf_counter() - started))
    return best


def main() -> None:
    """Compare the ways on a world of a given size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=6038)
    parser.add_argument("--items", type=int, default=3533)
    parser.add_argument("--each", type=int, default=95, help="interactions a user")
    parser.add_argument("--kind", type=Kind, default=Kind.NEUMF)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = make_data(folder / "data", arguments.users, arguments.items, arguments.each)
        bundle = make_bundle(folder, data, arguments.kind)
        users = bundle.n_users
        few = min(users, _SLICE)
        rows = {
            f"tutorial's loop, {few} users": rate(lambda: tutorial_loop(bundle, few), few, 3),
            f"plain pair graph, {few} users": rate(lambda: pair_graph(bundle, few), few, 3),
            "ncf batch, end to end": rate(lambda: end_to_end(bundle, folder / "topk"), users, 3),
        }
        roofline = gemm_rate() / flops_a_pair(bundle) / bundle.n_items
    first = next(iter(rows.values()))
    print(f"{arguments.kind.value}, {users:,} users, {arguments.items:,} items, K = 10")
    print(f"{'way':32} users/s  x tutorial  of roofline")
    for name, found in rows.items():
        print(f"{name:32} {found:7,.0f}  {found / first:10.1f}  {found / roofline:10.0%}")
    print(f"{'matrix-product roofline':32} {roofline:7,.0f}")


if __name__ == "__main__":
    main()
