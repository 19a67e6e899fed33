"""The exact top-K graph: a quarter of the plain graph's arithmetic, the catalogue inside.

The first layer of the MLP tower splits over the user and the item: ``W1 [p'; q'] + b1 = a + b``
with ``a = W1_user p'`` once a user and ``b = W1_item q' + b1`` once an item. For one user,
``relu(a + b) = a + max(b, -a)``, so that the sum and the relu become one ``Max`` over the
catalogue, and ``W2 a`` moves into the bias of the second layer. GMF is a plain matrix product
with the user row ``h * p``. What is left a pair are the tower's later layers.

Inputs are ``rows[n, d]`` float32 (see :func:`user_rows`), ``mask[items]`` float32 (0, or minus
infinity for an item that nobody may get), ``seen[m, 2]`` int64 (position in ``rows``, item) and
``k[1]`` int64; outputs are ``item[n, K]`` int64 and ``logit[n, K]`` float32, best first, ties by
ascending index, with K = min(k, catalogue). Masked and seen items count as minus infinity, so
that they stand last where a user has fewer than K others.

There are two forms of the tower. On a CPU, a loop over users (``Scan``) keeps a tile of hidden
layers in the cache and lets the biases ride in ``Gemm``; on a GPU that would be many small
kernels one after another, so that the other form takes all the users of a block at once.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from export.builder import GraphBuilder
from ncf.devices import Device
from ncf.scoring.bundle import TOPK_GRAPHS
from ncf.training.checkpoint import Weights

Floats = npt.NDArray[np.float32]

TILE_ITEMS = 4096
_USERS_AT_ONCE = 1 << 14


class Ends(NamedTuple):
    """Names of the values that the ranking nodes start from and end in; ``mask`` may be empty."""

    rows: str
    mask: str
    seen: str
    k: str
    logit: str = "logit"
    item: str = "item"


class Form(StrEnum):
    """How the graph goes over users."""

    LOOP = "loop"
    BLOCK = "block"


def topk_graphs(weights: Weights) -> dict[str, bytes]:
    """Build both forms of the graph, by the name each has in a bundle."""
    return {
        TOPK_GRAPHS[Device.CPU]: topk_graph(weights, Form.LOOP),
        TOPK_GRAPHS[Device.CUDA]: topk_graph(weights, Form.BLOCK),
    }


def user_rows(weights: Weights, users_at_once: int = _USERS_AT_ONCE) -> Iterator[Floats]:
    """Yield the rows that the top-K graph takes, float32 of shape ``(n, d)``, in order of user.

    A row holds ``h * p`` (GMF) and ``a = W1_user p'`` (MLP), one after the other.
    """
    users = weights[_sides(weights)[0] + ".user.weight"].shape[0]
    for start in range(0, users, users_at_once):
        part = slice(start, start + users_at_once)
        columns = []
        if "gmf.user.weight" in weights:
            columns.append(weights["gmf.user.weight"][part] * _heads(weights)[0])
        if "mlp.user.weight" in weights:
            width = weights["mlp.user.weight"].shape[1]
            first = weights["mlp.tower.0.weight"][:, :width]
            columns.append(weights["mlp.user.weight"][part] @ first.T)
        yield np.concatenate(columns, axis=1).astype(np.float32)


def row_width(weights: Weights) -> int:
    """Width of a user row."""
    width = 0
    if "gmf.user.weight" in weights:
        width += weights["gmf.user.weight"].shape[1]
    if "mlp.user.weight" in weights:
        width += weights["mlp.tower.0.weight"].shape[0]
    return width


def topk_graph(weights: Weights, form: Form, tile_items: int = TILE_ITEMS) -> bytes:
    """Build the graph.

    Parameters
    ----------
    weights : dict
        Of a GMF, an MLP or a NeuMF.
    form : Form
        ``loop`` for CPUs, ``block`` for GPUs.
    tile_items : int
        Items that the loop's tower takes at once; bounds its memory.

    Returns
    -------
    bytes
        A checked ONNX model.
    """
    graph = GraphBuilder()
    n_items = weights[_sides(weights)[0] + ".item.weight"].shape[0]
    rank_users(graph, weights, form, Ends("rows", "mask", "seen", "k"), tile_items)
    return graph.model(
        "topk",
        {
            "rows": (TensorProto.FLOAT, ["n", row_width(weights)]),
            "mask": (TensorProto.FLOAT, [n_items]),
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
    """Add the nodes between the values that ``ends`` names."""
    n_items = weights[_sides(weights)[0] + ".item.weight"].shape[0]
    gmf_head, mlp_head = _heads(weights)
    logits = ""
    if gmf_head.size:
        rows = graph.node("Slice", ends.rows, *_range(graph, 0, gmf_head.size))
        graph.constant("gmf_items", weights["gmf.item.weight"].T)
        logits = graph.node("MatMul", rows, "gmf_items")
    if mlp_head.size:
        rows = graph.node("Slice", ends.rows, *_range(graph, gmf_head.size, row_width(weights)))
        tower = _Tower(weights, mlp_head)
        tower.constants(graph)
        if form is Form.LOOP:
            scores = _loop(graph, tower, rows, tile_items)
        else:
            scores = tower.block(graph, rows)
        logits = graph.node("Add", logits, scores) if logits else scores
    offset = graph.constant("output_bias", weights["output.bias"])
    if ends.mask:  # added to the bias, which must be added anyway: it costs nothing
        offset = graph.node("Add", ends.mask, "output_bias")
    logits = graph.node("Add", logits, offset)
    graph.constant("unwanted", np.array(-np.inf, np.float32))
    count = graph.node(
        "Slice", graph.node("Shape", ends.seen), graph.integers(0), graph.integers(1)
    )
    masked = graph.node("ScatterND", logits, ends.seen, graph.node("Expand", "unwanted", count))
    length = graph.node("Min", ends.k, graph.integers(n_items))
    graph.outputs("TopK", masked, length, names=[ends.logit, ends.item], axis=-1)


class _Tower:
    """The MLP tower after its first layer was split."""

    def __init__(self, weights: Weights, head: Floats) -> None:
        embedding = weights["mlp.item.weight"]
        first = weights["mlp.tower.0.weight"][:, -embedding.shape[1] :]
        self.items: Floats = embedding @ first.T + weights["mlp.tower.0.bias"]
        self.width = self.items.shape[1]
        self._head = head
        self._later = [
            (weights[f"mlp.tower.{layer}.weight"], weights[f"mlp.tower.{layer}.bias"])
            for layer in range(1, sum(name.startswith("mlp.tower.") for name in weights) // 2)
        ]

    def constants(self, graph: GraphBuilder) -> None:
        """Add what both forms need of the later layers."""
        graph.constant("mlp_head", self._head[:, None])
        graph.integers(1)
        for layer, (weight, bias) in enumerate(self._later, 1):
            graph.constant(f"weight_{layer}", weight.T)
            graph.constant(f"bias_{layer}", bias)

    def one_user(self, body: GraphBuilder, user: str, items: str) -> str:
        """Logits of one user, shape ``(width,)``, over items, shape ``(t, width)``: ``(t,)``."""
        hidden = body.node("Max", items, body.node("Neg", user))
        # max(b, -a) falls short of relu(a + b) by a: the layer above makes up for it.
        if not self._later:
            short = body.node("MatMul", user, "mlp_head")
            logits = body.node("Add", body.node("MatMul", hidden, "mlp_head"), short)
            return body.node("Squeeze", logits, "int_1")
        short = body.node("MatMul", user, "weight_1")
        bias = body.node("Add", short, "bias_1")
        hidden = body.node("Relu", body.node("Gemm", hidden, "weight_1", bias))
        for layer in range(2, len(self._later) + 1):
            linear = body.node("Gemm", hidden, f"weight_{layer}", f"bias_{layer}")
            hidden = body.node("Relu", linear)
        return body.node("Squeeze", body.node("MatMul", hidden, "mlp_head"), "int_1")

    def block(self, graph: GraphBuilder, rows: str) -> str:
        """Logits of users, rows of shape ``(n, width)``, over all items: ``(n, items)``."""
        graph.constant("mlp_items", self.items)
        users = graph.node("Unsqueeze", rows, "int_1")
        hidden = graph.node("Relu", graph.node("Add", users, "mlp_items"))
        for layer in range(1, len(self._later) + 1):
            product = graph.node("MatMul", hidden, f"weight_{layer}")
            hidden = graph.node("Relu", graph.node("Add", product, f"bias_{layer}"))
        return graph.node("Squeeze", graph.node("MatMul", hidden, "mlp_head"), graph.integers(2))


def _loop(graph: GraphBuilder, tower: _Tower, rows: str, tile_items: int) -> str:
    """Logits of shape ``(n, items)``: one user after another, and tile after tile."""
    n_items, width = tower.items.shape
    tile = min(tile_items, n_items)
    tiles = -(-n_items // tile)
    padded = np.zeros((tiles * tile, width), np.float32)
    padded[:n_items] = tower.items
    graph.constant("mlp_items", padded.reshape(tiles, tile, width))
    inner = GraphBuilder("tile_")
    scores = inner.node("Identity", tower.one_user(inner, "user", "items"))
    over_tiles = inner.body("tiles", {"items": [tile, width]}, {scores: [tile]})
    outer = GraphBuilder("user_")
    scanned = outer.node("Scan", "mlp_items", body=over_tiles, num_scan_inputs=1)
    over_users = outer.body("users", {"user": [width]}, {scanned: [tiles, tile]})
    scores = graph.node("Scan", rows, body=over_users, num_scan_inputs=1)
    flat = graph.node("Reshape", scores, graph.integers(0, tiles * tile))
    return graph.node("Slice", flat, *_range(graph, 0, n_items))


def _range(graph: GraphBuilder, start: int, stop: int) -> tuple[str, str, str]:
    """Arguments of ``Slice`` for columns ``start`` to ``stop``."""
    return graph.integers(start), graph.integers(stop), graph.integers(1)


def _heads(weights: Weights) -> tuple[Floats, Floats]:
    """Split the output layer's weights over the branches; empty where there is none."""
    head = weights["output.weight"][0]
    gmf = weights["gmf.user.weight"].shape[1] if "gmf.user.weight" in weights else 0
    return head[:gmf], head[gmf:]


def _sides(weights: Weights) -> list[str]:
    return [branch for branch in ("gmf", "mlp") if f"{branch}.user.weight" in weights]
