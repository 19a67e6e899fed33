"""Fold in: make the row of a user from a history, with one linear map and no training.

A trained user's row is close to linear in the vectors of the items that the user took. With ``S``
the sum of their vectors, ``n`` their count, ``m = max(n, 1)`` and ``l = log(1 + n)``, the row is
``x M`` with ``x = [S / sqrt(m), S / m, S l / m, l, l^2, 1]``. :mod:`export.fold_in` fits ``M``;
docs/new-users.md has the method, its sources and its figures.

The graph's inputs are ``history[m, 2]`` int64 (position of the user, item), sorted and without
repeats, and ``users[1]`` int64, the count of users, which may have no history; its output is
``rows[n, d]`` float32, as the top-K graphs take them. A loop takes one user after another, so that
a row has the same bits in every block: ``ScatterND`` with addition gave wrong sums with two
threads, and a product of many rows may add in another order than that of one. The graph is for
CPUs; a GPU ranks the rows that it makes.
"""

import numpy as np
from onnx import GraphProto, TensorProto

from ncf.graphs.builder import GraphBuilder
from ncf.graphs.history_features import BLOCKS, TAIL, Doubles, features, scales
from ncf.graphs.tower import Floats, branches
from ncf.models.weights import Weights

__all__ = ["TAIL", "Doubles", "features", "fold_in_graph", "item_vectors", "scales"]


def item_vectors(weights: Weights) -> Floats:
    """Take the item embeddings, of both branches side by side; float32 of shape ``(items, v)``."""
    return np.concatenate([weights[f"{each}.item.weight"] for each in branches(weights)], axis=1)


def fold_in_graph(vectors: Floats, matrix: Floats) -> bytes:
    """Build the graph that makes users' rows from their histories.

    Parameters
    ----------
    vectors : float32 array of shape (items, v)
        Item vectors.
    matrix : float32 array of shape (3 v + 3, d)
        The map ``M``.

    Returns
    -------
    bytes
        A checked ONNX model.
    """
    graph = GraphBuilder()
    graph.constant("vectors", vectors)
    graph.constant("map", matrix)
    # A table, so that no machine's logarithm can change a bit.
    graph.constant("scales", scales(np.arange(len(vectors) + 1)).astype(np.float32))
    for value in (0, 1):
        graph.constant(f"number_{value}", np.array(value, np.int64))
    position = graph.node("Gather", "history", "number_0", axis=1)
    graph.outputs("Gather", "history", "number_1", names=["items"], axis=1)
    starts, stops = _ranges(graph, position)
    width = matrix.shape[1]
    body = _one_user(width)
    graph.outputs("Scan", starts, stops, names=["rows"], body=body, num_scan_inputs=2)
    for size in (0, 1, -1):
        graph.integers(size)
    for name, sizes in _shapes(vectors.shape[1]).items():
        graph.constant(name, np.array(sizes, np.int64))
    return graph.model(
        "foldin",
        {"history": (TensorProto.INT64, ["m", 2]), "users": (TensorProto.INT64, [1])},
        {"rows": (TensorProto.FLOAT, ["n", width])},
    )


def _ranges(graph: GraphBuilder, position: str) -> tuple[str, str]:
    """Find where each user's part of the history starts and stops; both 0 where there is none."""
    none, zero, one = graph.integers(-1), graph.integers(0), graph.integers(1)
    number = graph.node(
        "Range", "number_0", graph.node("Squeeze", graph.node("Shape", position), zero), "number_1"
    )
    before = graph.node("Slice", graph.node("Concat", none, position, axis=0), zero, none)
    end = graph.constant("end", np.array([np.iinfo(np.int64).max]))
    after = graph.node("Slice", graph.node("Concat", position, none, axis=0), one, end)
    nowhere = graph.node("ConstantOfShape", "users", value=_zero())
    found = []
    for neighbour, offset in ((before, zero), (after, one)):
        # Each user is met once, so the order of the writes does not matter.
        at = graph.node("Not", graph.node("Equal", position, neighbour))
        owner = graph.node("Compress", position, at, axis=0)
        place = graph.node("Add", graph.node("Compress", number, at, axis=0), offset)
        found.append(graph.node("ScatterElements", nowhere, owner, place, axis=0))
    return found[0], found[1]


def _one_user(width: int) -> GraphProto:
    """Make the body of the loop: a user's row from the items between ``start`` and ``stop``."""
    body = GraphBuilder("user_")
    first, last = (body.node("Unsqueeze", each, "int_0") for each in ("start", "stop"))
    own = body.node("Slice", "items", first, last)
    total = body.node("ReduceSum", body.node("Gather", "vectors", own), "int_0", keepdims=1)
    scale = body.node("Gather", "scales", body.node("Sub", "stop", "start"))
    column = body.node("Reshape", body.node("Slice", scale, "int_0", "blocks"), "as_column")
    blocks = body.node("Reshape", body.node("Mul", column, total), "as_blocks")
    tail = body.node("Reshape", body.node("Slice", scale, "blocks", "all"), "as_tail")
    row = body.node("MatMul", body.node("Concat", blocks, tail, axis=1), "map")
    out = body.node("Squeeze", row, "int_0")
    return body.body("users", {"start": [], "stop": []}, {out: [width]}, kind=TensorProto.INT64)


def _shapes(vector: int) -> dict[str, list[int]]:
    return {
        "blocks": [BLOCKS],
        "all": [BLOCKS + TAIL],
        "as_column": [BLOCKS, 1],
        "as_blocks": [1, BLOCKS * vector],
        "as_tail": [1, TAIL],
    }


def _zero() -> TensorProto:
    return TensorProto(name="zero", data_type=TensorProto.INT64, dims=[1], int64_data=[0])
