"""Build the screened top-K graph: a cheap guess picks candidates, which alone are scored exactly.

Inputs are those of ``topk.onnx`` and three int64 of shape ``(1,)``: ``candidates``, the number of
best guesses of each user, ``skip``, the number of those that were scored before and are left out (0
as a rule), and ``scored``, which must be their difference; computing it here would be work for
the CPU. It must hold that ``k <= scored`` and ``candidates <= items``: the graph does not clip
them, and has no ``Shape`` node, so that all of it can run on a GPU (see
:mod:`ncf.graphs.topk`). Outputs are those of ``topk.onnx``, and ``margin[n]`` float32: how
surely nothing was missed (see :func:`_margin`). Logits are exact; the arithmetic is the same
except for the order of sums in wide layers. The only possible error is that an item is not among
the candidates. See docs/screening.md.

The graph takes users a block at a time: both towers are short here, and the one large product
over the catalogue is fastest with many rows.
"""

from dataclasses import dataclass

import numpy as np
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

_VERY_LOW = -3e38
_END = 2**31 - 1


@dataclass(frozen=True)
class Guess:
    """A guess of all logits by one product: ``(features @ encoder + start) @ vectors + offset``.

    A user's features are the row that the graphs take, and ``relu(a @ directions + shifts)``
    of its part ``a`` for the tower.

    Parameters
    ----------
    directions : float32 array of shape (width, f)
        Directions in the space of the tower's rows.
    shifts : float32 array of shape (f,)
        Added before the relu.
    encoder : float32 array of shape (d + f, rank)
        Turns features into a user's coordinates.
    start : float32 array of shape (rank,)
        Added to the coordinates.
    vectors : float32 array of shape (rank, items)
        The items' coordinates.
    offset : float32 array of shape (items,)
        The part of the logits that all users share; without the output's bias.
    """

    directions: Floats
    shifts: Floats
    encoder: Floats
    start: Floats
    vectors: Floats
    offset: Floats

    @property
    def rank(self) -> int:
        """Count of vectors."""
        return len(self.vectors)

    def logits(self, rows: Floats) -> Floats:
        """Guess logits of users from their rows ``(n, d)``, without the output's bias."""
        tower = rows[:, rows.shape[1] - len(self.directions) :]
        relus = np.maximum(tower @ self.directions + self.shifts, 0)
        features = np.concatenate([rows, relus], axis=1)
        logits = (features @ self.encoder + self.start) @ self.vectors + self.offset
        return logits.astype(np.float32, copy=False)


def screen_graph(weights: Weights, guess: Guess) -> bytes:
    """Build ``screen.onnx``.

    Parameters
    ----------
    weights : dict
        Weights of an MLP or a NeuMF.
    guess : Guess
        Guesses all logits.

    Returns
    -------
    bytes
        A checked ONNX model.
    """
    graph = GraphBuilder()
    exact = _Exact(graph, weights)
    graph.constant("unwanted", np.array(-np.inf, np.float32))
    mask = lowered_mask(graph, "mask")
    guessed = lower_seen(graph, _guessed(graph, exact, guess, mask), "seen")
    graph.outputs("TopK", guessed, "candidates", names=["guess", "best"], axis=-1)
    later = ("skip", graph.integers(_END), graph.integers(1), graph.integers(1))
    taken = graph.node("Slice", "best", *later)
    # Sorted by index, so that ties come out as in the exact graph.
    graph.outputs("TopK", taken, "scored", names=["candidate", "place"], axis=-1, largest=0)
    kept = graph.node("GatherElements", graph.node("Slice", "guess", *later), "place", axis=1)
    bias = graph.node("Gather", graph.node("Add", mask, "output_bias"), "candidate")
    logits = graph.node("Add", exact.pairs("candidate"), bias)
    masked = graph.node("Where", is_lowered(graph, kept), "very_low", logits)
    graph.outputs("TopK", masked, "k", names=["ranked", "rank"], axis=-1)
    graph.outputs("Where", is_lowered(graph, "ranked"), "unwanted", "ranked", names=["logit"])
    graph.outputs("GatherElements", "candidate", "rank", names=["item"], axis=1)
    _margin(graph, kept, logits)
    return graph.model(
        "screen",
        {
            "rows": (TensorProto.FLOAT, ["n", row_width(weights)]),
            "mask": (TensorProto.FLOAT, [catalogue_size(weights)]),
            "seen": (TensorProto.INT64, ["m", 2]),
            "k": (TensorProto.INT64, [1]),
            "candidates": (TensorProto.INT64, [1]),
            "skip": (TensorProto.INT64, [1]),
            "scored": (TensorProto.INT64, [1]),
        },
        {
            "item": (TensorProto.INT64, ["n", "K"]),
            "logit": (TensorProto.FLOAT, ["n", "K"]),
            "margin": (TensorProto.FLOAT, ["n"]),
        },
    )


def _margin(graph: GraphBuilder, guesses: str, logits: str) -> None:
    """Compute how far the best item that is no candidate is from the list, in errors of the guess.

    An item that is no candidate has a guess of at most the candidates' lowest. To be missed, the
    guess of it must be too low by more than the distance from there to the list's last logit.
    The candidates' own errors, mean and spread, say how likely that is. Where a masked item is a
    candidate, all others are candidates too, and nothing can be missed.
    """
    lowest = graph.node("ReduceMin", guesses, axes=[1], keepdims=0)
    last = graph.node("ReduceMin", "ranked", axes=[1], keepdims=0)
    errors = graph.node("Sub", logits, guesses)
    mean = graph.node("ReduceMean", errors, axes=[1], keepdims=1)
    around = graph.node("Sub", errors, mean)
    square = graph.node("ReduceMean", graph.node("Mul", around, around), axes=[1], keepdims=0)
    graph.constant("tiny", np.array(1e-30, np.float32))
    spread = graph.node("Sqrt", graph.node("Add", square, "tiny"))
    room = graph.node("Sub", graph.node("Sub", last, lowest), graph.node("Squeeze", mean, "int_1"))
    graph.constant("very_high", np.array(-_VERY_LOW, np.float32))
    ratio = graph.node("Div", room, spread)
    graph.outputs("Where", is_lowered(graph, lowest), "very_high", ratio, names=["margin"])


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


def _guessed(graph: GraphBuilder, exact: _Exact, guess: Guess, mask: str) -> str:
    """Guess logits of users over all items, ``(n, items)``, and add the mask."""
    for name in ("directions", "shifts", "encoder", "start", "vectors", "offset"):
        graph.constant(name, getattr(guess, name))
    relus = graph.node("Relu", graph.node("Gemm", exact.mlp_rows, "directions", "shifts"))
    features = graph.node("Concat", "rows", relus, axis=1)
    places = graph.node("Gemm", features, "encoder", "start")
    return graph.node("Gemm", places, "vectors", graph.node("Add", mask, "offset"))
