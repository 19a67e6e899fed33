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
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from export.screen.assembly import ScreenGraphs, make_screen
from ncf.data.prepared import open_data
from ncf.graphs.topk import topk_graph, user_rows
from ncf.graphs.tower import Form, catalogue_size
from ncf.models.weights import Weights
from ncf.proof.audit import PairAudit
from ncf.proof.recall import PairSample, mean_lower_bound, pairs_needed, recalls
from ncf.records import json_values
from ncf.scoring.bundle import RESCORE_GRAPH, SCREEN_GRAPH
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.exact import ExactRanker
from ncf.scoring.ranker import Ranker, TopK
from ncf.scoring.rescorer import Rescorer
from ncf.scoring.screen_manifest import NoScreen
from ncf.scoring.screened import Calibration, ScreenedRanker
from ncf.scoring.seen import Seen
from ncf.scoring.sessions import open_cpu
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
    """Ranking graphs of a model, and how long its screen took.

    Parameters
    ----------
    topk : bytes
        The exact graph.
    screen : ScreenGraphs
        The screen's graphs and calibration, or why there is none.
    rows : float32 array of shape (users, d)
        What the graphs take.
    eligibility : Eligibility
        What may be listed.
    elapsed, processor : float
        Seconds that the calibration took.
    """

    topk: bytes
    screen: ScreenGraphs
    rows: npt.NDArray[np.float32]
    eligibility: Eligibility
    elapsed: float
    processor: float

    def exact(self) -> ExactRanker:
        """Open the exact graph, on one thread."""
        return ExactRanker(open_cpu(self.topk, threads=1), self.rows, self.eligibility)

    def screened(self, calibration: Calibration) -> ScreenedRanker:
        """Open the screened graph, on one thread, with the exact one behind it."""
        session = open_cpu(self.screen.graphs[SCREEN_GRAPH], threads=1)
        ranker = ScreenedRanker(session, self.rows, self.eligibility, calibration)
        return ranker.backed_by(self.exact())

    def rescorer(self) -> Rescorer:
        """Open the graph that scores given pairs, on one thread."""
        session = open_cpu(self.screen.graphs[RESCORE_GRAPH], threads=1)
        return Rescorer(session, self.rows, self.eligibility.n_items)


def make_world(weights: Weights, seen: sparse.csr_array) -> World:
    """Build the graphs and time the calibration; the table of seen items may be narrower."""
    rows = np.concatenate(list(user_rows(weights)))
    n_items = catalogue_size(weights)
    seen = sparse.csr_array((seen.data, seen.indices, seen.indptr), shape=(len(rows), n_items))
    started, began = time.perf_counter(), time.process_time()
    screen = make_screen(weights, rows, seen)
    elapsed, processor = time.perf_counter() - started, time.process_time() - began
    topk = topk_graph(weights, Form.LOOP)
    eligibility = Eligibility.whole_catalogue(n_items, Seen(seen.indptr, seen.indices, n_items))
    return World(topk, screen, rows, eligibility, elapsed, processor)


def timed(ranker: Ranker, users: npt.NDArray[np.int64], k: int) -> tuple[TopK, float]:
    """Rank, and give the best of some times, in seconds a user."""
    best = np.inf
    for _ in range(_REPEATS):
        started = time.process_time()
        top = ranker.rank(users, k)
        best = min(best, time.process_time() - started)
    return top, best / users.size


def audited(
    world: World, users: npt.NDArray[np.int64], found: TopK, target: float
) -> tuple[PairSample, float]:
    """Audit lists with as many pairs as the target needs; the sample, and seconds."""
    eligibility = world.eligibility
    pairs = pairs_needed(target, found.items.shape[1], eligibility.n_items)
    audit = PairAudit.of_size(eligibility, world.rescorer(), pairs, users.size)
    started = time.process_time()
    sample = audit(users, found, np.random.default_rng(0))
    return sample, time.process_time() - started


def compare(world: World, calibration: Calibration, k: int, target: float) -> tuple[float, float]:
    """Print what each way took and what recall lists had; seconds a user, exact and screened."""
    users = np.arange(len(world.rows))
    few = users[:: max(1, users.size * world.eligibility.n_items // _EXACT_PAIRS)]
    exact, seconds = timed(world.exact(), few, k)
    screened = world.screened(calibration)
    found, quick = timed(screened, users, k)
    lists = screened.rank(few, k)
    values = recalls(lists, exact)
    same = (lists.scores == exact.scores)[lists.items == exact.items].mean()
    sample, audit = audited(world, users, found, target)
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


def print_world(world: World, k: Sequence[int], target: float) -> list[float] | None:
    """Compare on one catalogue; its row for the plot, or None where it has no screen."""
    n_items = world.eligibility.n_items
    print(
        f"{n_items:,} items, {len(world.rows):,} users; calibrated in {world.elapsed:.1f} s "
        f"({world.processor:.1f} s of processor)"
    )
    facts = world.screen.facts
    print(f"  {json_values(facts)}")
    if isinstance(facts, NoScreen):
        return None
    times = [compare(world, Calibration(facts.by_k), each, target) for each in k]
    size = len(world.screen.graphs[SCREEN_GRAPH])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
    print(
        f"  screen.onnx {size / 2**20:,.0f} MiB; peak memory of all this {peak / 2**10:,.0f} MiB",
        flush=True,
    )
    return [n_items, *times[0], size]


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
    seen = open_data(arguments.data).interactions().csr()
    users = arguments.users or (_USERS if arguments.items else seen.shape[0])
    weights, seen = first_users(weights, users), sparse.csr_array(seen[:users])
    rows = []
    for n_items in arguments.items or [seen.shape[1]]:
        world = make_world(blown_up(weights, n_items), seen)
        if row := print_world(world, arguments.k, arguments.recall):
            rows.append(row)
    if arguments.rows:
        arguments.rows.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
