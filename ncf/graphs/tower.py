"""What the ranking graphs share: the split tower, the halves of the output layer."""

from enum import StrEnum

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from ncf.graphs.builder import GraphBuilder
from ncf.models.weights import Weights

Floats = npt.NDArray[np.float32]


class Form(StrEnum):
    """How the graph goes over users; docs/gpu.md counts the bytes that each form moves.

    ``loop`` takes one user after another. The others take a block of users at once: ``plain`` adds
    and then takes the relu; ``max`` does both at once in the first layer, as the loop does;
    ``riding`` has a column of ones too, so that the biases ride in the matrix products.
    """

    LOOP = "loop"
    PLAIN = "plain"
    MAX = "max"
    RIDING = "riding"


class Tower:
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

    def shortfall(self, graph: GraphBuilder, rows: str) -> str:
        """Add what ``max(b, -a)`` falls short of ``relu(a + b)`` in the layer above, with its bias.

        Of users, rows of shape ``(n, width)``; of shape ``(n, next layer)``, or ``(n, 1)`` where
        the output layer is the next.
        """
        if not self._later:
            return graph.node("MatMul", rows, "mlp_head")
        return graph.node("Add", graph.node("MatMul", rows, "weight_1"), "bias_1")

    def loop(self, graph: GraphBuilder, rows: str, tile_items: int) -> str:
        """Logits of shape ``(n, items)``: one user after another, and tile after tile."""
        n_items, width = self.items.shape
        tile = min(tile_items, n_items)
        tiles = -(-n_items // tile)
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
        """Logits of one ``user`` over ``items`` of shape ``(t, width)``: ``(t,)``."""
        hidden = body.node("Max", "items", body.node("Neg", "user"))
        if not self._later:
            logits = body.node("Add", body.node("MatMul", hidden, "mlp_head"), "short")
            return body.node("Squeeze", logits, "int_1")
        hidden = body.node("Relu", body.node("Gemm", hidden, "weight_1", "short"))
        for layer in range(2, len(self._later) + 1):
            linear = body.node("Gemm", hidden, f"weight_{layer}", f"bias_{layer}")
            hidden = body.node("Relu", linear)
        return body.node("Squeeze", body.node("MatMul", hidden, "mlp_head"), "int_1")

    def block(self, graph: GraphBuilder, rows: str, form: Form) -> str:
        """Logits of users, rows of shape ``(n, width)``, over all items: ``(n, items)``."""
        if form is Form.PLAIN:
            return self._plain(graph, rows)
        if form is Form.RIDING and self._later:
            return self._riding(graph, rows)
        graph.constant("mlp_items", self.items)
        minus = graph.node("Unsqueeze", graph.node("Neg", rows), "int_1")
        hidden = graph.node("Max", "mlp_items", minus)
        short = graph.node("Unsqueeze", self.shortfall(graph, rows), "int_1")
        for layer in range(1, len(self._later) + 1):
            bias = f"bias_{layer}" if layer > 1 else short
            product = graph.node("MatMul", hidden, f"weight_{layer}")
            hidden = graph.node("Relu", graph.node("Add", product, bias))
        logits = graph.node("MatMul", hidden, "mlp_head")
        if not self._later:
            logits = graph.node("Add", logits, short)
        return graph.node("Squeeze", logits, graph.integers(2))

    def _plain(self, graph: GraphBuilder, rows: str) -> str:
        graph.constant("mlp_items", self.items)
        users = graph.node("Unsqueeze", rows, "int_1")
        hidden = graph.node("Relu", graph.node("Add", users, "mlp_items"))
        for layer in range(1, len(self._later) + 1):
            product = graph.node("MatMul", hidden, f"weight_{layer}")
            hidden = graph.node("Relu", graph.node("Add", product, f"bias_{layer}"))
        return graph.node("Squeeze", graph.node("MatMul", hidden, "mlp_head"), graph.integers(2))

    def _riding(self, graph: GraphBuilder, rows: str) -> str:
        """Let biases ride: hidden layers have a column of ones, weights a row of biases.

        The second layer's bias differs by user, and so do its weights then: one small matrix a
        user, in one batched product.
        """
        widths = [self.width, *(bias.size for _, bias in self._later)]
        wide = [_with_ones(width) for width in widths[:-1]] + [widths[-1]]
        items = np.zeros((len(self.items), wide[0]), np.float32)
        items[:, : self.width], items[:, self.width] = self.items, 1
        graph.constant("mlp_items", items)
        minus = graph.node("Neg", _padded(graph, rows, wide[0] - self.width))
        hidden = graph.node("Max", "mlp_items", graph.node("Unsqueeze", minus, "int_1"))
        for layer, (weight, bias) in enumerate(self._later, 1):
            matrix = np.zeros((wide[layer - 1], wide[layer]), np.float32)
            matrix[: weight.shape[1], : bias.size] = weight.T
            if layer < len(self._later):
                matrix[weight.shape[1], bias.size] = 1
            if layer > 1:
                matrix[weight.shape[1], : bias.size] = bias
            riding = graph.constant(f"riding_{layer}", matrix)
            if layer == 1:
                row = np.zeros((wide[0], 1), np.float32)
                row[self.width] = 1
                short = _padded(graph, self.shortfall(graph, rows), wide[1] - bias.size)
                short = graph.node("Unsqueeze", short, "int_1")
                moved = graph.node("Mul", graph.constant("ones_row", row), short)
                riding = graph.node("Add", moved, riding)
            hidden = graph.node("Relu", graph.node("MatMul", hidden, riding))
        return graph.node("Squeeze", graph.node("MatMul", hidden, "mlp_head"), graph.integers(2))

    def few(self, graph: GraphBuilder, rows: str, items: str) -> str:
        """Logits of a block of users over few items each, with the arithmetic of the loop.

        Parameters
        ----------
        graph : GraphBuilder
            Takes the nodes; holds :meth:`constants` and a ``mlp_head_late``.
        rows : str
            Of shape ``(n, width)``.
        items : str
            Rows of ``items``, of shape ``(n, c, width)``, or ``(c, width)`` for the same c.

        Returns
        -------
        str
            Of shape ``(n, c)``.
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


def minus_infinities(graph: GraphBuilder, seen: str) -> str:
    """One minus infinity a row of ``seen``, without asking for a shape: ``(m,)``."""
    first = graph.node("Gather", seen, graph.constant("first", np.array(0, np.int64)), axis=1)
    positions = graph.node("Cast", first, to=TensorProto.FLOAT)
    graph.constant("nought", np.array(0, np.float32))
    graph.constant("unwanted", np.array(-np.inf, np.float32))
    return graph.node("Add", graph.node("Mul", positions, "nought"), "unwanted")


def _with_ones(width: int) -> int:
    """Room for a column of ones beside so many others, a multiple of four: 16 bytes a load."""
    return -(-(width + 1) // 4) * 4


def _padded(graph: GraphBuilder, rows: str, columns: int) -> str:
    """Append columns of zeros to ``(n, width)``."""
    return graph.node("Pad", rows, graph.integers(0, 0, 0, columns))


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
