"""Build the screened top-K graph: a cheap guess picks candidates, which alone are scored exactly.

Inputs are those of ``topk.onnx`` and ``candidates[1]`` int64, the number of items scored exactly
for each user. It must hold that ``k <= candidates <= items``: the graph does not clip them, and
has no ``Shape`` node, so that all of it can run on a GPU (see :mod:`ncf.graphs.topk`). Outputs
are those of ``topk.onnx``. Logits are exact; the arithmetic is the same except for the order of
sums in wide layers. The only possible error is that an item is not among the candidates. See
docs/screening.md.

The graph takes users a block at a time: both towers are short here, and the one large product
over the catalogue is fastest with many rows.
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
    is_lowered,
    lower_seen,
    lowered_mask,
    row_width,
)
from ncf.models.weights import Weights


@dataclass(frozen=True)
class LowRank:
    """Stand-in for the tower: ``offset + (logits of landmarks @ coefficients) @ vectors``.

    Parameters
    ----------
    landmarks : int64 array of shape (l,)
        Items whose logits are computed exactly, ascending.
    coefficients : float32 array of shape (l, rank)
        Turn the landmarks' logits into a user's coordinates in the basis.
    vectors : float32 array of shape (rank, items)
        The basis.
    offset : float32 array of shape (items,)
        The part of the logits that all users share.
    """

    landmarks: npt.NDArray[np.int64]
    coefficients: Floats
    vectors: Floats
    offset: Floats

    @property
    def rank(self) -> int:
        """Count of vectors in the basis."""
        return len(self.vectors)

    def logits(self, landmark_logits: Floats) -> Floats:
        """Guess the tower's logits of users from their logits of the landmarks, ``(n, l)``."""
        logits = (landmark_logits @ self.coefficients) @ self.vectors + self.offset
        return logits.astype(np.float32, copy=False)


def screen_graph(weights: Weights, stand_in: LowRank) -> bytes:
    """Build ``screen.onnx``.

    Parameters
    ----------
    weights : dict
        Weights of an MLP or a NeuMF.
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
    mask = lowered_mask(graph, "mask")
    guessed = lower_seen(graph, _guess(graph, exact, weights, stand_in, mask), "seen")
    graph.outputs("TopK", guessed, "candidates", names=["guess", "best"], axis=-1, sorted=0)
    # Sorted by index, so that ties come out as in the exact graph.
    graph.outputs("TopK", "best", "candidates", names=["candidate", "place"], axis=-1, largest=0)
    guess = graph.node("GatherElements", "guess", "place", axis=1)
    bias = graph.node("Gather", graph.node("Add", mask, "output_bias"), "candidate")
    logits = graph.node("Add", exact.pairs("candidate"), bias)
    masked = graph.node("Where", is_lowered(graph, guess), "very_low", logits)
    graph.outputs("TopK", masked, "k", names=["ranked", "rank"], axis=-1)
    graph.outputs("Where", is_lowered(graph, "ranked"), "unwanted", "ranked", names=["logit"])
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

    This is the second half of the screened graph, for given items.
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
    """The nodes that both graphs share: split user rows, and the tower over few items a user."""

    def __init__(self, graph: GraphBuilder, weights: Weights) -> None:
        self._graph = graph
        gmf_head, mlp_head = heads(weights)
        self.tower = Tower(weights, mlp_head)
        self.tower.constants(graph)
        graph.constant("mlp_items", self.tower.items)
        graph.constant("output_bias", weights["output.bias"])
        # ONNX Runtime multiplies by a constant column in another order than in the inner loop of
        # topk.onnx, but by a computed column in the same order. So it is computed, by adding zero.
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
        """Compute logits of each user's own items, int64 of shape ``(n, c)``, without the bias."""
        graph = self._graph
        rows = graph.node("Gather", "mlp_items", items)
        logits = self.tower.few(graph, self.mlp_rows, rows)
        if not self.gmf_rows:
            return logits
        # Two equal rows: for one alone, ONNX Runtime would sum the products in another order.
        row = graph.node("Unsqueeze", self.gmf_rows, "int_1")
        twice = graph.node("Concat", row, row, axis=1)
        theirs = graph.node("Transpose", graph.node("Gather", "gmf_items", items), perm=[0, 2, 1])
        products = graph.node("MatMul", twice, theirs)
        first = graph.node("Slice", products, *column_range(graph, 0, 1))
        return graph.node("Add", graph.node("Squeeze", first, "int_1"), logits)


def _guess(
    graph: GraphBuilder, exact: _Exact, weights: Weights, stand_in: LowRank, mask: str
) -> str:
    """Guess logits of users over all items, ``(n, items)``, in one product, and add the mask."""
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
    return graph.node("Gemm", places, "basis", graph.node("Add", mask, "offset"))
