"""The split tower and the halves of the output layer, which the ranking graphs share."""

from enum import StrEnum

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from ncf.graphs.builder import GraphBuilder
from ncf.models.weights import Weights

Floats = npt.NDArray[np.float32]

_VERY_LOW, _LOW = -3e38, -1e38  # far below any logit, and above the lowest float32


class Form(StrEnum):
    """Whether the graph takes users one after another, or a block of them at once."""

    LOOP = "loop"
    BLOCK = "block"


class Tower:
    """The MLP tower, its first layer split over user and item."""

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
        """Add the constants of the later layers that both forms need."""
        graph.constant("mlp_head", self._head[:, None])
        graph.integers(1)
        for layer, (weight, bias) in enumerate(self._later, 1):
            graph.constant(f"weight_{layer}", weight.T)
            graph.constant(f"bias_{layer}", bias)

    def shortfall(self, graph: GraphBuilder, rows: str) -> str:
        """Compute what ``max(b, -a)`` lacks of ``relu(a + b)`` in the next layer, with its bias.

        Users' rows have the shape ``(n, width)``. The result has the shape ``(n, next layer)``,
        or ``(n, 1)`` where the output layer is next.
        """
        if not self._later:
            return graph.node("MatMul", rows, "mlp_head")
        return graph.node("Add", graph.node("MatMul", rows, "weight_1"), "bias_1")

    def loop(self, graph: GraphBuilder, rows: str, tile_items: int) -> str:
        """Compute logits of shape ``(n, items)``, one user after another and tile by tile."""
        n_items, width = self.items.shape
        tiles = -(-n_items // tile_items)
        tile = -(-n_items // tiles)  # alike in size, so that padding is little
        padded = np.zeros((tiles * tile, width), np.float32)
        padded[:n_items] = self.items
        graph.constant("mlp_tiles", padded.reshape(tiles, tile, width))
        inner = GraphBuilder("tile_")
        scores = inner.node("Identity", self._one_user(inner))
        over_tiles = inner.body("tiles", {"items": [tile, width]}, {scores: [tile]})
        outer = GraphBuilder("user_")
        scanned = outer.node("Scan", "mlp_tiles", body=over_tiles, num_scan_inputs=1)
        inputs = {"user": [width], "short": [self._later[0][1].size if self._later else 1]}
        over_users = outer.body("users", inputs, {scanned: [tiles, tile]})
        short = self.shortfall(graph, rows)
        scores = graph.node("Scan", rows, short, body=over_users, num_scan_inputs=2)
        flat = graph.node("Reshape", scores, graph.integers(0, tiles * tile))
        return graph.node("Slice", flat, *column_range(graph, 0, n_items))

    def _one_user(self, body: GraphBuilder) -> str:
        """Compute logits ``(t,)`` of one ``user`` over ``items`` of shape ``(t, width)``."""
        hidden = body.node("Max", "items", body.node("Neg", "user"))
        if not self._later:
            logits = body.node("Add", body.node("MatMul", hidden, "mlp_head"), "short")
            return body.node("Squeeze", logits, "int_1")
        hidden = body.node("Relu", body.node("Gemm", hidden, "weight_1", "short"))
        for layer in range(2, len(self._later) + 1):
            linear = body.node("Gemm", hidden, f"weight_{layer}", f"bias_{layer}")
            hidden = body.node("Relu", linear)
        return body.node("Squeeze", body.node("MatMul", hidden, "mlp_head"), "int_1")

    def block(self, graph: GraphBuilder, rows: str) -> str:
        """Compute logits ``(n, items)`` of users' rows ``(n, width)`` over all items.

        On a GPU each operator writes its whole output to memory; one ``Max`` for the first
        layer, as in the loop, writes least. docs/gpu.md counts the bytes.
        """
        graph.constant("mlp_items", self.items)
        hidden = graph.node(
            "Max", "mlp_items", graph.node("Unsqueeze", graph.node("Neg", rows), "int_1")
        )
        short = graph.node("Unsqueeze", self.shortfall(graph, rows), "int_1")
        for layer in range(1, len(self._later) + 1):
            bias = f"bias_{layer}" if layer > 1 else short
            product = graph.node("MatMul", hidden, f"weight_{layer}")
            hidden = graph.node("Relu", graph.node("Add", product, bias))
        logits = graph.node("MatMul", hidden, "mlp_head")
        if not self._later:
            logits = graph.node("Add", logits, short)
        return graph.node("Squeeze", logits, graph.integers(2))

    def few(self, graph: GraphBuilder, rows: str, items: str) -> str:
        """Compute logits of a block of users over few items each, with the arithmetic of the loop.

        Parameters
        ----------
        graph : GraphBuilder
            Receives the nodes; it holds :meth:`constants` and a ``mlp_head_late`` already.
        rows : str
            Name of users' rows, of shape ``(n, width)``.
        items : str
            Name of items' rows: ``(n, c, width)``, or ``(c, width)`` where all share the items.

        Returns
        -------
        str
            Name of the logits, of shape ``(n, c)``.
        """
        hidden = graph.node("Max", items, graph.node("Unsqueeze", graph.node("Neg", rows), "int_1"))
        short = graph.node("Unsqueeze", self.shortfall(graph, rows), "int_1")
        for layer in range(1, len(self._later) + 1):
            product = graph.node("MatMul", hidden, f"weight_{layer}")
            bias = short if layer == 1 else f"bias_{layer}"
            hidden = graph.node("Relu", graph.node("Add", product, bias))
        logits = graph.node("MatMul", hidden, "mlp_head_late")
        if not self._later:
            logits = graph.node("Add", logits, short)
        return graph.node("Squeeze", logits, graph.integers(2))

    def scores(self, rows: Floats, items: npt.NDArray[np.int64]) -> Floats:
        """Compute logits with NumPy: users' rows ``(n, width)``, items ``(n, c)`` of each."""
        hidden = np.maximum(self.items[items] + rows[:, None, :], 0)
        for weight, bias in self._later:
            hidden = np.maximum(hidden @ weight.T + bias, 0)
        logits: Floats = hidden @ self._head
        return logits


def row_width(weights: Weights) -> int:
    """Width of a user row."""
    width = 0
    if "gmf.user.weight" in weights:
        width += weights["gmf.user.weight"].shape[1]
    if "mlp.user.weight" in weights:
        width += weights["mlp.tower.0.weight"].shape[0]
    return width


def catalogue_size(weights: Weights) -> int:
    """Count of items."""
    count: int = weights[branches(weights)[0] + ".item.weight"].shape[0]
    return count


def lowered_mask(graph: GraphBuilder, mask: str) -> str:
    """Replace the mask's minus infinities by a very low number.

    ``TopK`` on CUDA (ONNX Runtime 1.31) pads with the lowest finite float32, which ranks above
    minus infinity: where fewer items are left than K, it would list an index that is no item.
    """
    return graph.node("Max", mask, graph.constant("very_low", np.array(_VERY_LOW, np.float32)))


def lower_seen(graph: GraphBuilder, logits: str, seen: str) -> str:
    """Set the logits of seen pairs to a very low number, without a ``Shape`` node."""
    first = graph.node("Gather", seen, graph.constant("first", np.array(0, np.int64)), axis=1)
    positions = graph.node("Cast", first, to=TensorProto.FLOAT)
    graph.constant("nought", np.array(0, np.float32))
    graph.constant("very_low", np.array(_VERY_LOW, np.float32))
    low = graph.node("Add", graph.node("Mul", positions, "nought"), "very_low")
    return graph.node("ScatterND", logits, seen, low)


def is_lowered(graph: GraphBuilder, logits: str) -> str:
    """Find which logits were lowered."""
    return graph.node("Less", logits, graph.constant("low", np.array(_LOW, np.float32)))


def column_range(graph: GraphBuilder, start: int, stop: int) -> tuple[str, str, str]:
    """Arguments of ``Slice`` for columns ``start`` to ``stop``."""
    return graph.integers(start), graph.integers(stop), graph.integers(1)


def corner_range(graph: GraphBuilder) -> tuple[str, str, str]:
    """Arguments of ``Slice`` for the first value of the first row, of shape ``(1, 1)``."""
    return graph.integers(0, 0), graph.integers(1, 1), graph.integers(0, 1)


def heads(weights: Weights) -> tuple[Floats, Floats]:
    """Split the output layer's weights over the branches; empty where there is none."""
    head = weights["output.weight"][0]
    gmf = weights["gmf.user.weight"].shape[1] if "gmf.user.weight" in weights else 0
    return head[:gmf], head[gmf:]


def branches(weights: Weights) -> list[str]:
    """Names of the branches that the weights hold, GMF first."""
    return [branch for branch in ("gmf", "mlp") if f"{branch}.user.weight" in weights]
