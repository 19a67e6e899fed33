"""What the ranking graphs share: the split tower, the halves of the output layer."""

import numpy as np
import numpy.typing as npt

from export.builder import GraphBuilder
from ncf.training.checkpoint import Weights

Floats = npt.NDArray[np.float32]


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


def column_range(graph: GraphBuilder, start: int, stop: int) -> tuple[str, str, str]:
    """Arguments of ``Slice`` for columns ``start`` to ``stop``."""
    return graph.integers(start), graph.integers(stop), graph.integers(1)


def heads(weights: Weights) -> tuple[Floats, Floats]:
    """Split the output layer's weights over the branches; empty where there is none."""
    head = weights["output.weight"][0]
    gmf = weights["gmf.user.weight"].shape[1] if "gmf.user.weight" in weights else 0
    return head[:gmf], head[gmf:]


def branches(weights: Weights) -> list[str]:
    """Names of the branches that the weights hold, GMF first."""
    return [branch for branch in ("gmf", "mlp") if f"{branch}.user.weight" in weights]
