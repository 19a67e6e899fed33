"""Parity: every exported graph must equal the PyTorch model before anything is published."""

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from export.topk import Form, topk_graph
from ncf.devices import Device
from ncf.models.scorer import scorer
from ncf.scoring.bundle import SCORE_GRAPH, TOPK_CUDA_GRAPH, TOPK_GRAPH, Bundle
from ncf.scoring.parity import PairScorer, Parity, compare, compare_topk, reference
from ncf.scoring.ranking import GraphRanker
from ncf.scoring.sessions import open_cpu
from ncf.training.checkpoint import Checkpoint

_PAIRS = 20_000


def graph_scorer(session: ort.InferenceSession) -> PairScorer:
    """Make a function of pairs from an open ``score.onnx``."""

    def score(
        users: npt.NDArray[np.int64], items: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        (logits,) = session.run(["logit"], {"user": users, "item": items})
        found: npt.NDArray[np.float32] = logits
        return found

    return score


def require_pair_parity(graph: bytes, checkpoint: Checkpoint, *, seed: int = 0) -> Parity:
    """Hold the pair graph against PyTorch on independent random pairs.

    Users and items are drawn apart from each other: a graph that reads one of its inputs twice
    would pass on equal ones. The first and the last user and item are always among them.

    Raises
    ------
    ParityError
        A logit is not finite, or differs by more than the tolerance.
    """
    rng = np.random.default_rng(seed)
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
    for name, device in ((TOPK_GRAPH, Device.CPU), (TOPK_CUDA_GRAPH, Device.CUDA)):
        ranker = GraphRanker(bundle, open_cpu(bundle.topk_graph(device)), device)
        report[name] = compare_topk(name, ranker, expected)
    return report


def topk_graphs(checkpoint: Checkpoint) -> dict[str, bytes]:
    """Both forms of the top-K graph, by name."""
    return {
        TOPK_GRAPH: topk_graph(checkpoint.weights, Form.LOOP),
        TOPK_CUDA_GRAPH: topk_graph(checkpoint.weights, Form.BLOCK),
    }
