"""Build the exact top-K graph: it holds the catalogue and takes a quarter of the arithmetic.

The first layer of the MLP tower splits over the user and the item: ``W1 [p'; q'] + b1 = a + b``
with ``a = W1_user p'`` once a user and ``b = W1_item q' + b1`` once an item. For one user,
``relu(a + b) = a + max(b, -a)``, so that the sum and the relu become one ``Max`` over the
catalogue, and ``W2 a`` moves into the bias of the second layer. GMF is a plain matrix product
with the user row ``h * p``. Only the tower's later layers are computed for each pair.

Inputs are ``rows[n, d]`` float32 (see :func:`user_rows`), ``mask[items]`` float32 (0, or minus
infinity for an item that nobody may get), ``seen[m, 2]`` int64 (position in ``rows``, item) and
``k[1]`` int64; outputs are ``item[n, K]`` int64 and ``logit[n, K]`` float32, best first, ties by
ascending index, with K = min(k, catalogue). Masked and seen items count as minus infinity, so
they come last where a user has fewer than K others.

There are two forms. On a CPU, a loop over users (``Scan``) keeps a tile of hidden layers in the
cache and adds the biases in ``Gemm``. On a GPU that would be many small kernels one after
another, so the other form takes all users of a block at once. ONNX Runtime computes shapes on
the CPU even in a session on CUDA, which :func:`ncf.scoring.sessions.open_cuda` refuses:
therefore the form for GPUs has no ``Shape`` and nothing derived from one, and ``k`` must not
exceed the catalogue there.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from onnx import TensorProto

from ncf.devices import Device
from ncf.graphs.builder import GraphBuilder
from ncf.graphs.tower import (
    Floats,
    Form,
    Tower,
    branches,
    catalogue_size,
    column_range,
    heads,
    is_lowered,
    lower_seen,
    lowered_mask,
    row_width,
)
from ncf.models.weights import Weights

TILE_ITEMS = 1024  # whose hidden layers stay in the cache of a core
FORMS = {Device.CPU: Form.LOOP, Device.CUDA: Form.BLOCK}
"""The form for each device."""
_USERS_AT_ONCE = 1 << 14


class Ends(NamedTuple):
    """Names of the inputs and outputs of the ranking nodes; ``mask`` may be empty."""

    rows: str
    mask: str
    seen: str
    k: str
    logit: str = "logit"
    item: str = "item"


def user_rows(weights: Weights, users_at_once: int = _USERS_AT_ONCE) -> Iterator[Floats]:
    """Yield the rows that the top-K graph takes, float32 of shape ``(n, d)``, in order of user.

    A row holds ``h * p`` (GMF), then ``a = W1_user p'`` (MLP).
    """
    users = weights[branches(weights)[0] + ".user.weight"].shape[0]
    for start in range(0, users, users_at_once):
        part = slice(start, start + users_at_once)
        columns = []
        if "gmf.user.weight" in weights:
            columns.append(weights["gmf.user.weight"][part] * heads(weights)[0])
        if "mlp.user.weight" in weights:
            width = weights["mlp.user.weight"].shape[1]
            first = weights["mlp.tower.0.weight"][:, :width]
            columns.append(weights["mlp.user.weight"][part] @ first.T)
        yield np.concatenate(columns, axis=1).astype(np.float32)


def topk_graph(
    weights: Weights,
    form: Form,
    tile_items: int = TILE_ITEMS,
) -> bytes:
    """Build the exact top-K graph.

    Parameters
    ----------
    weights : dict
        Weights of a GMF, an MLP or a NeuMF.
    form : Form
        ``loop`` for CPUs, ``block`` for GPUs.
    tile_items : int
        Items that the loop's tower takes at once; it bounds memory.

    Returns
    -------
    bytes
        A checked ONNX model.
    """
    graph = GraphBuilder()
    rank_users(graph, weights, form, Ends("rows", "mask", "seen", "k"), tile_items)
    return graph.model(
        "topk",
        {
            "rows": (TensorProto.FLOAT, ["n", row_width(weights)]),
            "mask": (TensorProto.FLOAT, [catalogue_size(weights)]),
            "seen": (TensorProto.INT64, ["m", 2]),
            "k": (TensorProto.INT64, [1]),
        },
        {"item": (TensorProto.INT64, ["n", "K"]), "logit": (TensorProto.FLOAT, ["n", "K"])},
    )


def rank_users(
    graph: GraphBuilder,
    weights: Weights,
    form: Form,
    ends: Ends,
    tile_items: int = TILE_ITEMS,
) -> None:
    """Add the nodes that rank, between the inputs and outputs that ``ends`` names."""
    n_items = catalogue_size(weights)
    gmf_head, mlp_head = heads(weights)
    logits = ""
    if gmf_head.size:
        rows = graph.node("Slice", ends.rows, *column_range(graph, 0, gmf_head.size))
        graph.constant("gmf_items", weights["gmf.item.weight"].T)
        logits = graph.node("MatMul", rows, "gmf_items")
    if mlp_head.size:
        rows = graph.node(
            "Slice", ends.rows, *column_range(graph, gmf_head.size, row_width(weights))
        )
        tower = Tower(weights, mlp_head)
        tower.constants(graph)
        if form is Form.LOOP:
            scores = tower.loop(graph, rows, tile_items)
        else:
            scores = tower.block(graph, rows)
        logits = graph.node("Add", logits, scores) if logits else scores
    graph.constant("output_bias", weights["output.bias"])
    graph.constant("unwanted", np.array(-np.inf, np.float32))
    # The mask is added to the bias, so that it costs no second pass over the logits.
    if form is not Form.LOOP:
        mask = lowered_mask(graph, ends.mask)
        logits = graph.node("Add", logits, graph.node("Add", mask, "output_bias"))
        masked = lower_seen(graph, logits, ends.seen)
        graph.outputs("TopK", masked, ends.k, names=["ranked", ends.item], axis=-1)
        graph.outputs(
            "Where", is_lowered(graph, "ranked"), "unwanted", "ranked", names=[ends.logit]
        )
        return
    logits = graph.node("Add", logits, graph.node("Add", ends.mask, "output_bias"))
    count = graph.node(
        "Slice", graph.node("Shape", ends.seen), graph.integers(0), graph.integers(1)
    )
    masked = graph.node("ScatterND", logits, ends.seen, graph.node("Expand", "unwanted", count))
    length = graph.node("Min", ends.k, graph.integers(n_items))
    graph.outputs("TopK", masked, length, names=[ends.logit, ends.item], axis=-1)
