"""Exact against screened ranking, one thread each, on a trained model and on larger catalogues.

    ncf data prepare --ratings ratings.csv --format csv --split leave-one-out --out data/mine
    ncf train --data data/mine --model neumf-end --out checkpoints/mine
    python -m benchmarks.screen --checkpoint checkpoints/mine --data data/mine
    python -m benchmarks.screen --checkpoint checkpoints/mine --data data/mine --items 100000

Times are processor time of this process, so that other programs count less; calibration, which
uses every core, is given as elapsed time too.

A larger catalogue is the trained one again and again, each copy of an item moved by noise of a
tenth of its column's spread: near ties abound, worse than in any real catalogue.
"""

import argparse
import json
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from export.screen.assembly import make_screen
from ncf.data.prepared import open_data
from ncf.graphs.topk import topk_graph, user_rows
from ncf.graphs.tower import Form, catalogue_size, row_width
from ncf.models.weights import Weights
from ncf.proof.audit import PairAudit
from ncf.proof.recall import PairSample, mean_lower_bound, pairs_needed, recalls
from ncf.scoring.bundle import SCREEN_GRAPH, TOPK_GRAPHS, Bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.ranker import Ranker, TopK
from ncf.scoring.screened import Rescorer, ScreenedRanker
from ncf.scoring.seen import Seen
from ncf.training.checkpoint import open_checkpoint

_NOISE = 0.1
_USERS = 2000
_EXACT_PAIRS = 2_000_000  # that the exact graph is timed on
_REPEATS = 3


def blown_up(weights: Weights, n_items: int) -> Weights:
    """Repeat a catalogue up to a size; the copies are noisy."""
    before = catalogue_size(weights)
    origin = np.arange(n_items) % before
    rng = np.random.default_rng(0)
    grown = dict(weights)
    for name in ("gmf.item.weight", "mlp.item.weight"):
        if name in weights:
            noise = rng.normal(size=(n_items, weights[name].shape[1])) * weights[name].std(axis=0)
            noise[:before] = 0
            grown[name] = (weights[name][origin] + _NOISE * noise).astype(np.float32)
    return grown


def first_users(weights: Weights, count: int) -> Weights:
    """Keep some users."""
    return {
        name: array[:count] if name.endswith("user.weight") else array
        for name, array in weights.items()
    }


@dataclass(frozen=True)
class World:
    """A bundle of ranking graphs alone, and how long its screen took.

    Parameters
    ----------
    bundle : Bundle
        Without ids, so that only rankers can use it.
    elapsed, processor : float
        Seconds that the calibration took.
    """

    bundle: Bundle
    elapsed: float
    processor: float


def make_world(weights: Weights, seen: sparse.csr_array, folder: Path) -> World:
    """Write the graphs and time the calibration; the table of seen items may be narrower."""
    rows = np.concatenate(list(user_rows(weights)))
    n_items = catalogue_size(weights)
    seen = sparse.csr_array((seen.data, seen.indices, seen.indptr), shape=(len(rows), n_items))
    started, began = time.perf_counter(), time.process_time()
    screen = make_screen(weights, rows, seen)
    elapsed, processor = time.perf_counter() - started, time.process_time() - began
    (folder / next(iter(TOPK_GRAPHS.values()))).write_bytes(topk_graph(weights, Form.LOOP))
    for name, content in screen.graphs.items():
        (folder / name).write_bytes(content)
    sizes = {"n_users": len(rows), "n_items": n_items, "row_width": row_width(weights)}
    bundle = Bundle(folder, {"model": sizes, "screen": screen.document})
    bundle.__dict__["user_rows"] = rows
    bundle.__dict__["seen"] = Seen(seen.indptr, seen.indices, n_items)
    return World(bundle, elapsed, processor)


def timed(ranker: Ranker, users: npt.NDArray[np.int64], k: int) -> tuple[TopK, float]:
    """Rank, and give the best of some times, in seconds a user."""
    best = np.inf
    for _ in range(_REPEATS):
        started = time.process_time()
        top = ranker.rank(users, k)
        best = min(best, time.process_time() - started)
    return top, best / users.size


def audited(
    bundle: Bundle, users: npt.NDArray[np.int64], found: TopK, target: float
) -> tuple[PairSample, float]:
    """Audit lists with as many pairs as the target needs; the sample, and seconds."""
    pairs = pairs_needed(target, found.items.shape[1], bundle.n_items)
    rescorer = Rescorer.open(bundle, threads=1)
    audit = PairAudit.of_size(bundle.eligibility, rescorer, pairs, users.size)
    started = time.process_time()
    sample = audit(users, found, np.random.default_rng(0))
    return sample, time.process_time() - started


def compare(world: World, k: int, target: float) -> tuple[float, float]:
    """Print what each way took and what recall lists had; seconds a user, exact and screened."""
    bundle = world.bundle
    users = np.arange(bundle.n_users)
    few = users[:: max(1, users.size * bundle.n_items // _EXACT_PAIRS)]
    exact, seconds = timed(ExactRanker.open(bundle, threads=1), few, k)
    screened = ScreenedRanker.open(bundle, threads=1)
    found, quick = timed(screened, users, k)
    lists = screened.rank(few, k)
    values = recalls(lists, exact)
    same = (lists.scores == exact.scores)[lists.items == exact.items].mean()
    sample, audit = audited(bundle, users, found, target)
    print(
        f"K = {k}: exact {seconds * 1e6:,.1f} us/user ({few.size} users), screened "
        f"{quick * 1e6:,.1f} us/user ({users.size} users), {seconds / quick:.1f} times; "
        f"C = {screened.candidates(k)}\n"
        f"  recall of {few.size} users {values.mean():.5f} (bound {mean_lower_bound(values):.5f}), "
        f"scores bit-identical {same:.4f}\n"
        f"  audit of {sample.drawn:,.0f} pairs: {sample.missed} missed, recall "
        f"{sample.recall():.5f}, bound {sample.lower_bound():.5f}; {audit:.2f} s, lists took "
        f"{quick * users.size:.2f} s"
    )
    return seconds, quick


def main() -> None:
    """Compare on one catalogue, trained or blown up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--items", type=int, nargs="+", help="blow the catalogue up to so many")
    parser.add_argument("--users", type=int, help="the first so many; 2,000 with --items")
    parser.add_argument("-k", type=int, nargs="+", default=[10])
    parser.add_argument("--recall", type=float, default=0.999, help="that audits shall prove")
    parser.add_argument("--rows", type=Path, help="file for benchmarks.growth_plot")
    arguments = parser.parse_args()
    weights = open_checkpoint(arguments.checkpoint).weights
    seen = open_data(arguments.data).known().csr()
    users = arguments.users or (_USERS if arguments.items else seen.shape[0])
    weights, seen = first_users(weights, users), sparse.csr_array(seen[:users])
    rows: list[list[float]] = []
    for n_items in arguments.items or [seen.shape[1]]:
        with tempfile.TemporaryDirectory() as folder:
            world = make_world(blown_up(weights, n_items), seen, Path(folder))
            screen = world.bundle.manifest["screen"]
            print(
                f"{n_items:,} items, {users:,} users; calibrated in {world.elapsed:.1f} s "
                f"({world.processor:.1f} s of processor)"
            )
            print(f"  {screen}")
            if world.bundle.has_screen:
                times = [compare(world, k, arguments.recall) for k in arguments.k]
                size = (world.bundle.path / SCREEN_GRAPH).stat().st_size
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
                print(
                    f"  screen.onnx {size / 2**20:,.0f} MiB; peak memory of all this "
                    f"{peak / 2**10:,.0f} MiB",
                    flush=True,
                )
                rows.append([n_items, *times[0], size])
    if arguments.rows:
        arguments.rows.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
