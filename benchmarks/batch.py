"""Every user's top 10, the ways there are, in one run on one model and machine.

Rows that would take long are timed on a slice of the users and say so. The roofline is what the
measured rate of matrix products allows for the arithmetic that factoring leaves, per pair.

    python -m benchmarks.batch

A screen needs a trained model (random towers are not close to low rank), and RecBole an
environment of its own:

    python -m benchmarks.batch --checkpoint checkpoints/mine --data data/mine --recbole PYTHON
"""

import argparse
import itertools
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from batch.job import Job
from batch.options import Mode
from batch.pipeline import run_batch
from batch.runs import open_runs
from benchmarks.peers.tutorial import network_of
from benchmarks.synthetic import make_bundle, make_data
from export.publish import publish
from export.source import Source
from ncf.data.prepared import open_data
from ncf.devices import Device
from ncf.models.kinds import Kind
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.sessions import open_cpu
from ncf.training.checkpoint import open_checkpoint, write_checkpoint
from ncf.training.manifest import Outcome
from ncf.training.trained import Trained

_SLICE = 200  # users
_NOISE = 0.05
_RECBOLE = Path(__file__).parent / "peers" / "recbole_topk.py"
_RECBOLE_SLICE = 100


def more_users(folder: Path, checkpoint: Path, times: int) -> Path:
    """Repeat the users of a trained model, each copy moved a little; with made-up seen items."""
    trained = open_checkpoint(checkpoint)
    rng, weights = np.random.default_rng(0), dict(trained.weights)
    for name, array in weights.items():
        if name.endswith("user.weight"):
            noise = rng.normal(0, _NOISE * array.std(), (times * len(array), array.shape[1]))
            weights[name] = (np.tile(array, (times, 1)) + noise).astype(np.float32)
    users = times * trained.architecture.n_users
    data = make_data(folder / "data", users, trained.architecture.n_items, 95)
    architecture = replace(trained.architecture, n_users=users)
    write_checkpoint(
        folder / "checkpoint", Trained(architecture, weights, [], Outcome("neumf")), data
    )
    return folder / "checkpoint"


def tutorial_loop(bundle: Bundle, checkpoint: Path, users: int) -> None:
    """Score one user over all items in PyTorch, argsort, drop what is seen; user after user."""
    model = network_of(open_checkpoint(checkpoint))
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


def end_to_end(bundle: Bundle, out: Path, mode: Mode) -> None:
    """Run ncf batch: everything, Parquet, publishing and proof included."""
    job = Job(bundle.path, out, 10, Device.CPU, mode=mode)
    if run_batch(job, datetime.now(UTC))["mode"] != mode.value and mode is not Mode.AUTO:
        raise RuntimeError(f"{mode.value} fell back")


def recbole_rate(python: str, bundle: Bundle) -> float:
    """Users a second of RecBole's full_sort_topk, NeuMF of the same size, on a slice."""
    command = [python, str(_RECBOLE), str(bundle.path), str(_RECBOLE_SLICE)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(ended.stdout.splitlines()[-1])


def flops_a_pair(bundle: Bundle) -> float:
    """Floating point operations of the factored graph, per user and item."""
    model = bundle.manifest.model
    factors, layers = model.factors, model.layers
    widths = [factors * 2 ** (layers - 1 - layer) for layer in range(layers)]
    later = sum(2 * a * b for a, b in itertools.pairwise(widths))
    gmf, mlp = 2 * model.gmf_factors, later + 2 * factors
    by_kind = {"gmf": gmf, "mlp": mlp, "neumf": gmf + mlp}
    return float(by_kind[model.kind])


def gemm_rate() -> float:
    """Matrix products a second on all cores, in floating point operations; best of five."""
    one = torch.rand(2048, 2048)
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        one @ one
        rates.append(2 * 2048**3 / (time.perf_counter() - started))
    return max(rates)


class Rate(NamedTuple):
    """Users by second, and by second of processor time, which other programs disturb less."""

    elapsed: float
    processor: float


def rate(work: Callable[[], None], users: int, repeats: int) -> Rate:
    """Measure rates, each the best of some repeats."""
    best = Rate(0.0, 0.0)
    for _ in range(repeats):
        began, started = time.process_time(), time.perf_counter()
        work()
        elapsed, processor = time.perf_counter() - started, time.process_time() - began
        best = Rate(max(best.elapsed, users / elapsed), max(best.processor, users / processor))
    return best


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=6038)
    parser.add_argument("--items", type=int, default=3533)
    parser.add_argument("--each", type=int, default=95, help="interactions a user")
    parser.add_argument("--kind", type=Kind, default=Kind.NEUMF)
    parser.add_argument("--checkpoint", type=Path, help="a trained model, in place of a random one")
    parser.add_argument("--data", type=Path, help="what it was trained on")
    parser.add_argument("--times", type=int, default=1, help="repeat the trained model's users")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--recbole", help="Python that has RecBole 1.2.1")
    return parser.parse_args()


def main() -> None:
    """Compare the ways on a trained model, or on a world of a given size."""
    arguments = read_arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder, checkpoint = Path(scratch), arguments.checkpoint
        if checkpoint is None:
            data = make_data(folder / "data", arguments.users, arguments.items, arguments.each)
            bundle, checkpoint = make_bundle(folder, data, arguments.kind), folder / "checkpoint"
        else:
            prepared = arguments.data
            if arguments.times > 1:
                checkpoint = more_users(folder, checkpoint, arguments.times)
                prepared = folder / "data"
            publish(Source(open_checkpoint(checkpoint), open_data(prepared)), folder, "ncf")
            bundle = open_bundle(folder / "ncf")
        users, topk, repeats = bundle.n_users, folder / "topk", arguments.repeats
        few = min(users, _SLICE)
        rows = {
            f"tutorial's loop, {few} users": rate(
                lambda: tutorial_loop(bundle, checkpoint, few), few, 3
            ),
            f"plain pair graph, {few} users": rate(lambda: pair_graph(bundle, few), few, 3),
            "ncf batch, exact": rate(lambda: end_to_end(bundle, topk, Mode.EXACT), users, repeats),
        }
        if bundle.has_screen:
            screened = rate(lambda: end_to_end(bundle, topk, Mode.SCREENED), users, repeats)
            rows["ncf batch, screened, proven"] = screened
            manifest = open_runs(topk).manifest(open_runs(topk).latest())
            if manifest.recall:
                print(f"recall of the screened table: at least {manifest.recall.lower_bound}")
            print(f"seconds of its phases: {manifest.seconds}")
        rows["ncf batch, auto"] = rate(lambda: end_to_end(bundle, topk, Mode.AUTO), users, repeats)
        decision = open_runs(topk).manifest(open_runs(topk).latest()).decision
        print(f"auto: {decision.mode.value if decision else ''}, {decision and decision.reason}")
        if arguments.recbole:
            name = f"RecBole full_sort_topk, {_RECBOLE_SLICE} users"
            rows[name] = Rate(recbole_rate(arguments.recbole, bundle), np.nan)
        roofline = gemm_rate() / flops_a_pair(bundle) / bundle.n_items
    print_table(bundle, rows, roofline)


def print_table(bundle: Bundle, rows: dict[str, Rate], roofline: float) -> None:
    """Print a row for each way; the first is what others are compared with."""
    first, exact = next(iter(rows.values())), rows["ncf batch, exact"]
    size = f"{bundle.n_users:,} users, {bundle.n_items:,} items, K = 10"
    print(f"{bundle.manifest.model.kind}, {size}")
    print(
        f"{'way':34} users/s  x tutorial  of roofline  x exact  users a processor second  x exact"
    )
    for name, found in rows.items():
        times = (found.elapsed / first.elapsed, found.elapsed / exact.elapsed)
        print(
            f"{name:34} {found.elapsed:7,.0f}  {times[0]:10.1f}  {found.elapsed / roofline:11.0%}"
            f"  {times[1]:7.2f}  {found.processor:24,.0f}"
            f"  {found.processor / exact.processor:7.2f}"
        )
    print(f"{'matrix-product roofline':34} {roofline:7,.0f}")


if __name__ == "__main__":
    main()
