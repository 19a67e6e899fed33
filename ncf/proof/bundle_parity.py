"""Compare every graph of a bundle with another way to score pairs: PyTorch, or ``score.onnx``."""

from pathlib import Path

import numpy as np
from scipy.stats import poisson

from ncf.errors import ParityError
from ncf.graphs.history_features import features
from ncf.graphs.initializers import read_initializers
from ncf.proof.parity import compare, compare_rescored, compare_screen, compare_topk
from ncf.proof.recall import recalls
from ncf.proof.reference import PairScorer, Reference, graph_scorer, reference
from ncf.scoring.bundle import (
    FOLD_IN_GRAPH,
    RESCORE_GRAPH,
    SCORE_GRAPH,
    SCREEN_GRAPH,
    TOPK_GRAPHS,
    Bundle,
)
from ncf.scoring.exact import ExactRanker
from ncf.scoring.fold_in import FoldIn
from ncf.scoring.manifest import Parity
from ncf.scoring.ranker import TopK
from ncf.scoring.rescorer import Rescorer
from ncf.scoring.screen_manifest import NoScreen
from ncf.scoring.screened import ScreenedRanker
from ncf.scoring.sessions import open_cpu

_PAIRS = 20_000
_RARE = 1e-4
_HISTORIES, _FOLDED = 64, 1e-5


def require_pair_parity(graph: Path | bytes, sizes: tuple[int, int], score: PairScorer) -> Parity:
    """Compare the pair graph with another way to score, on independent random pairs.

    Users and items are drawn independently: with equal indices, a graph that reads one of its
    inputs twice would pass. The first and the last user and item are always among them.

    Parameters
    ----------
    graph : Path or bytes
        ``score.onnx``.
    sizes : (int, int)
        Counts of users and items.
    score : callable
        Gives the logits of pairs, such as the PyTorch model's.

    Raises
    ------
    ParityError
        A logit is not finite, or differs by more than the tolerance.
    """
    rng = np.random.default_rng(0)
    users, items = (rng.integers(0, size, _PAIRS) for size in sizes)
    corners = np.array([[0, 0, -1, -1], [0, -1, 0, -1]]) % np.array(sizes)[:, None]
    users, items = np.append(users, corners[0]), np.append(items, corners[1])
    found = graph_scorer(open_cpu(graph))(users, items)
    return compare(SCORE_GRAPH, found, score(users, items))


def require_topk_parity(bundle: Bundle, score: PairScorer) -> dict[str, Parity]:
    """Compare both forms of the top-K graph, and the screen, with another way to score.

    The form for CUDA is compared on the CPU: the graph is the same everywhere.

    Parameters
    ----------
    bundle : Bundle
        Holds the graphs; it need not be sealed yet.
    score : callable
        Gives the logits of pairs, such as the PyTorch model's or those of ``score.onnx``.

    Returns
    -------
    dict
        Parity by name of the graph.

    Raises
    ------
    ParityError
        Logits, ranking or masking differ.
    """
    expected = reference(bundle, score)
    report = {}
    for device, name in TOPK_GRAPHS.items():
        session = open_cpu(bundle.topk_graph(device))
        ranker = ExactRanker(session, bundle.user_rows, bundle.eligibility, device, bundle.path)
        report[name] = compare_topk(name, ranker, expected)
    return report | _compare_screens(bundle, expected)


def require_fold_in_parity(bundle: Bundle) -> dict[str, Parity]:
    """Compare the graph that folds in with NumPy; without one, do nothing.

    Histories are those of sampled users, one of no item, and one of every item. Parity is that of
    rows, not of logits: differences are relative to the largest sum of sizes of what is added up
    to a number of the row, as is the error of rounding.

    Raises
    ------
    ParityError
        A row differs by more than a hundred thousandth.
    """
    fold_in = FoldIn.open(bundle)
    if fold_in is None:
        return {}
    found = read_initializers(bundle.path / FOLD_IN_GRAPH, ("vectors", "map"))
    users = np.random.default_rng(0).integers(0, bundle.n_users, _HISTORIES)
    pairs = bundle.seen.pairs(users)
    everything = np.full(bundle.n_items, _HISTORIES), np.arange(bundle.n_items)
    pairs = np.concatenate([pairs, np.stack(everything, axis=1)])
    sums = np.zeros((_HISTORIES + 2, found["vectors"].shape[1]))
    np.add.at(sums, pairs[:, 0], found["vectors"][pairs[:, 1]])
    counts = np.bincount(pairs[:, 0], minlength=len(sums))
    x, by = features(sums, counts), found["map"].astype(np.float64)
    expected = x @ by
    size = (np.abs(x) @ np.abs(by)).max(axis=1, keepdims=True)
    size[size == 0] = 1
    differences = np.abs(fold_in.rows(pairs, len(sums)) - expected) / size
    most = float(differences.max(initial=0.0))
    if not most <= _FOLDED:  # written so that NaN fails too
        raise ParityError(f"{FOLD_IN_GRAPH} differs from NumPy by {most:.1e} of a row")
    return {FOLD_IN_GRAPH: Parity(differences.size, most, float(differences.mean()), _FOLDED)}


def _compare_screens(bundle: Bundle, expected: Reference) -> dict[str, Parity]:
    """Compare the graphs of a bundle's screen with a reference; without a screen, do nothing.

    Scores must be exact, and recall must be what the bundle says. Allowed are the misses of one
    user, and as many more as chance would exceed once in ten thousand times at the target.

    Raises
    ------
    ParityError
        A logit, an order or a mask differs, or recall is under the target.
    """
    screen = bundle.manifest.screen
    if isinstance(screen, NoScreen):
        return {}
    report = {RESCORE_GRAPH: compare_rescored(RESCORE_GRAPH, Rescorer.open(bundle).score, expected)}
    ranker = ScreenedRanker.open(bundle).backed_by(ExactRanker.open(bundle))
    for each in screen.by_k:
        top = ranker.rank(expected.users, each.k)
        report[SCREEN_GRAPH] = compare_screen(SCREEN_GRAPH, top, expected)
        exact = TopK(top.items, -np.sort(-expected.logits, axis=1)[:, : each.k])
        listed = exact.valid().sum(axis=1)
        missed = round(float(((1 - recalls(top, exact)) * listed).sum()))
        if missed > each.k + poisson.ppf(1 - _RARE, (1 - screen.target) * listed.sum()):
            raise ParityError(
                f"{SCREEN_GRAPH} misses {missed} of {listed.sum()} best items, lists of {each.k}"
            )
    return report
