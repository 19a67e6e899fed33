"""The screened top-K graph: a cheap guess picks candidates, and only those are scored exactly.

Inputs are those of ``topk.onnx`` and ``candidates[1]`` int64, how many items a user are scored
exactly, with ``k <= candidates <= items``: nothing here clips them, nor asks for a shape, so that
all of the graph can run on a GPU (see :mod:`ncf.graphs.topk`). Outputs are those of ``topk.onnx``;
logits are exact, with the same arithmetic but for the order of sums in wide layers. What can go
wrong is only that an item is not among the candidates. See docs/screening.md.

Users are taken a block at a time: both towers are short here, and the one large product over the
catalogue wants many rows.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from ncf.graphs.builder import GraphBuilder
from ncf.graphs.tower import (
    Floats,
    Tower,
    catalogue_size,
    column_range,
    corner_range,
    heads,
    minus_infinities,
    row_width,
)
from ncf.models.weights import Weights


@dataclass(frozen=True)
class LowRank:
    """The stand-in: ``offset + (logits of landmarks @ coefficients) @ vectors``.

    Parameters
    ----------
    landmarks : int64 array of shape (l,)
        Items whose logits are computed exactly, ascending.
    coefficients : float32 array of shape (l, rank)
        From the landmarks' logits to a user's place in the basis.
    vectors : float32 array of shape (rank, items)
        The basis.
    offset : float32 array of shape (items,)
        What every user's logits have in common.
    """

    landmarks: npt.NDArray[np.int64]
    coefficients: Floats
    vectors: Floats
    offset: Floats

    @property
    def rank(self) -> int:
        """Count of directions."""
        return len(self.vectors)

    def logits(self, landmark_logits: Floats) -> Floats:
        """Guess the tower's logits of users from those of the landmarks, ``(n, l)``."""
        logits = (landmark_logits @ self.coefficients) @ self.vectors + self.offset
        return logits.astype(np.float32, copy=False)


def screen_graph(weights: Weights, stand_in: LowRank) -> bytes:
    """Build ``screen.onnx``.

    Parameters
    ----------
    weights : dict
        Of an MLP or a NeuMF.
    stand_in : LowRank
        Guesses the tower's logits.

    Returns
    -------
    bytes
        A checked ONNX model.
    """
    graph = GraphBuilder()
    exact = _Exact(graph, weights)
    graph.constant("unwanted", np.array(-np.inf, np.float32))
    guessed = _mask_seen(graph, _guess(graph, exact, weights, stand_in))
    graph.outputs("TopK", guessed, "candidates", names=["guess", "best"], axis=-1, sorted=0)
    # By ascending index, so that ties end up as in the exact graph.
    graph.outputs("TopK", "best", "candidates", names=["candidate", "place"], axis=-1, largest=0)
    guess = graph.node("GatherElements", "guess", "place", axis=1)
    bias = graph.node("Gather", graph.node("Add", "mask", "output_bias"), "candidate")
    logits = graph.node("Add", exact.pairs("candidate"), bias)
    masked = graph.node("Where", graph.node("IsInf", guess, detect_positive=0), "unwanted", logits)
    graph.outputs("TopK", masked, "k", names=["logit", "rank"], axis=-1)
    graph.outputs("GatherElements", "candidate", "rank", names=["item"], axis=1)
    return graph.model(
        "screen",
        {
            "rows": (TensorProto.FLOAT, ["n", row_width(weights)]),
            "mask": (TensorProto.FLOAT, [catalogue_size(weights)]),
            "seen": (TensorProto.INT64, ["m", 2]),
            "k": (TensorProto.INT64, [1]),
            "candidates": (TensorProto.INT64, [1]),
        },
        {"item": (TensorProto.INT64, ["n", "K"]), "logit": (TensorProto.FLOAT, ["n", "K"])},
    )


def rescore_graph(weights: Weights) -> bytes:
    """Build ``rows[n, d] float32, item[n, c] int64 -> logit[n, c] float32``, exact.

    It is the second half of the screened graph, for given items.
    """
    graph = GraphBuilder()
    exact = _Exact(graph, weights)
    logits = exact.pairs("item")
    graph.outputs("Add", logits, "output_bias", names=["logit"])
    return graph.model(
        "rescore",
        {
            "rows": (TensorProto.FLOAT, ["n", row_width(weights)]),
            "item": (TensorProto.INT64, ["n", "c"]),
        },
        {"logit": (TensorProto.FLOAT, ["n", "c"])},
    )


class _Exact:
    """What both graphs share: user rows taken apart, and the tower over few items a user."""

    def __init__(self, graph: GraphBuilder, weights: Weights) -> None:
        self._graph = graph
        gmf_head, mlp_head = heads(weights)
        self.tower = Tower(weights, mlp_head)
        self.tower.constants(graph)
        graph.constant("mlp_items", self.tower.items)
        graph.constant("output_bias", weights["output.bias"])
        # ONNX Runtime multiplies by a constant column in another order than topk.onnx does in
        # its inner loop, and by a computed one in the same. Nothing is added here.
        nought = graph.constant("nought", np.array(0, np.float32))
        corner = graph.node("Slice", "rows", *corner_range(graph))
        none = graph.node("Mul", corner, nought)
        graph.outputs("Add", "mlp_head", none, names=["mlp_head_late"])
        self.gmf_rows = ""
        if gmf_head.size:
            columns = column_range(graph, 0, gmf_head.size)
            self.gmf_rows = graph.node("Slice", "rows", *columns)
            graph.constant("gmf_items", weights["gmf.item.weight"])
        columns = column_range(graph, gmf_head.size, row_width(weights))
        self.mlp_rows = graph.node("Slice", "rows", *columns)

    def pairs(self, items: str) -> str:
        """Logits of each user's own items, int64 of shape ``(n, c)``, short of the bias."""
        graph = self._graph
        rows = graph.node("Gather", "mlp_items", items)
        logits = self.tower.few(graph, self.mlp_rows, rows)
        if not self.gmf_rows:
            return logits
        # Two equal rows: of one alone, ONNX Runtime would sum the products in another order.
        row = graph.node("Unsqueeze", self.gmf_rows, "int_1")
        twice = graph.node("Concat", row, row, axis=1)
        theirs = graph.node("Transpose", graph.node("Gather", "gmf_items", items), perm=[0, 2, 1])
        products = graph.node("MatMul", twice, theirs)
        first = graph.node("Slice", products, *column_range(graph, 0, 1))
        return graph.node("Add", graph.node("Squeeze", first, "int_1"), logits)


def _guess(graph: GraphBuilder, exact: _Exact, weights: Weights, stand_in: LowRank) -> str:
    """Guess logits of users over all items, ``(n, items)``, in one product; the mask added."""
    graph.constant("landmarks", exact.tower.items[stand_in.landmarks])
    graph.constant("coefficients", stand_in.coefficients)
    landmark_logits = exact.tower.few(graph, exact.mlp_rows, "landmarks")
    places = graph.node("MatMul", landmark_logits, "coefficients")
    basis = stand_in.vectors
    if exact.gmf_rows:
        places = graph.node("Concat", exact.gmf_rows, places, axis=1)
        basis = np.concatenate([weights["gmf.item.weight"].T, basis])
    graph.constant("basis", basis)
    graph.constant("offset", stand_in.offset)
    return graph.node("Gemm", places, "basis", graph.node("Add", "mask", "offset"))


def _mask_seen(graph: GraphBuilder, logits: str) -> str:
    return graph.node("ScatterND", logits, "seen", minus_infinities(graph, "seen"))
