"""Parity: every exported graph must equal the PyTorch model before anything is published."""

from pathlib import Path

import numpy as np
from scipy.stats import poisson

from ncf.errors import ParityError
from ncf.models.scorer import scorer
from ncf.proof.parity import Parity, compare, compare_rescored, compare_screen, compare_topk
from ncf.proof.recall import recalls
from ncf.proof.reference import Reference, graph_scorer, reference
from ncf.scoring.bundle import RESCORE_GRAPH, SCORE_GRAPH, SCREEN_GRAPH, TOPK_GRAPHS, Bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.ranker import TopK
from ncf.scoring.screened import Rescorer, ScreenedRanker
from ncf.scoring.sessions import open_cpu
from ncf.training.checkpoint import Checkpoint

_PAIRS = 20_000
_RARE = 1e-4


def require_pair_parity(graph: Path | bytes, checkpoint: Checkpoint) -> Parity:
    """Hold the pair graph against PyTorch on independent random pairs.

    Users and items are drawn apart from each other: a graph that reads one of its inputs twice
    would pass on equal ones. The first and the last user and item are always among them.

    Raises
    ------
    ParityError
        A logit is not finite, or differs by more than the tolerance.
    """
    rng = np.random.default_rng(0)
    sizes = (checkpoint.architecture.n_users, checkpoint.architecture.n_items)
    users, items = (rng.integers(0, size, _PAIRS) for size in sizes)
    corners = np.array([[0, 0, -1, -1], [0, -1, 0, -1]]) % np.array(sizes)[:, None]
    users, items = np.append(users, corners[0]), np.append(items, corners[1])
    found = graph_scorer(open_cpu(graph))(users, items)
    return compare(SCORE_GRAPH, found, scorer(checkpoint.model())(users, items))


def require_topk_parity(bundle: Bundle, checkpoint: Checkpoint) -> dict[str, Parity]:
    """Hold both forms of the top-K graph, and the screen, against PyTorch, by name of the graph.

    The form for CUDA is held against it on the CPU: the graph is the same everywhere.

    Raises
    ------
    ParityError
        Logits, ranking or masking differ.
    """
    expected = reference(bundle, scorer(checkpoint.model()))
    report = {}
    for device, name in TOPK_GRAPHS.items():
        ranker = ExactRanker(bundle, open_cpu(bundle.topk_graph(device)), device)
        report[name] = compare_topk(name, ranker, expected)
    return report | compare_screens(bundle, expected)


def compare_screens(bundle: Bundle, expected: Reference) -> dict[str, Parity]:
    """Hold the graphs of a bundle's screen against a reference; nothing where there is none.

    Scores must be exact, and recall what the bundle says. Of misses, those of one user are let
    through, and as many more as would be exceeded once in ten thousand times at the target.

    Raises
    ------
    ParityError
        A logit, an order or a mask differs, or recall is under the target.
    """
    if not bundle.has_screen:
        return {}
    report = {RESCORE_GRAPH: compare_rescored(RESCORE_GRAPH, Rescorer.open(bundle).score, expected)}
    ranker = ScreenedRanker.open(bundle)
    target: float = bundle.manifest["screen"]["target"]
    for each in bundle.manifest["screen"]["by_k"]:
        top = ranker.rank(expected.users, each["k"])
        report[SCREEN_GRAPH] = compare_screen(SCREEN_GRAPH, top, expected)
        exact = TopK(top.items, -np.sort(-expected.logits, axis=1)[:, : each["k"]])
        listed = exact.valid().sum(axis=1)
        missed = round(float(((1 - recalls(top, exact)) * listed).sum()))
        if missed > each["k"] + poisson.ppf(1 - _RARE, (1 - target) * listed.sum()):
            raise ParityError(
                f"{SCREEN_GRAPH} misses {missed} of {listed.sum()} best items, lists of {each['k']}"
            )
    return report
