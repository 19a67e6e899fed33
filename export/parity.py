"""Parity: every exported graph must equal the PyTorch model before anything is published."""

from pathlib import Path

import numpy as np

from ncf.models.scorer import scorer
from ncf.scoring.bundle import SCORE_GRAPH, TOPK_GRAPHS, Bundle
from ncf.scoring.parity import Parity, compare, compare_topk, graph_scorer, reference
from ncf.scoring.ranking import GraphRanker
from ncf.scoring.sessions import open_cpu
from ncf.training.checkpoint import Checkpoint

_PAIRS = 20_000


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
    """Hold both forms of the top-K graph against PyTorch, by name of the graph.

    The form for CUDA is held against it on the CPU: the graph is the same everywhere.

    Raises
    ------
    ParityError
        Logits, ranking or masking differ.
    """
    expected = reference(bundle, scorer(checkpoint.model()))
    report = {}
    for device, name in TOPK_GRAPHS.items():
        ranker = GraphRanker(bundle, open_cpu(bundle.topk_graph(device)), device)
        report[name] = compare_topk(name, ranker, expected)
    return report
