"""Write the plain scoring graph, the parity reference, as ONNX from the weights.

The graph is built node by node and not traced. So its bytes depend on the weights alone, and
parity compares two independent implementations of the same maths.
"""

from pathlib import Path
from typing import BinaryIO

import onnx
from onnx import TensorProto

from ncf.graphs.builder import LARGEST_MODEL, GraphBuilder
from ncf.models.weights import Weights


def write_score_graph(weights: Weights, path: Path) -> None:
    """Write and check the graph ``user[n] int64, item[n] int64 -> logit[n] float32``.

    Parameters
    ----------
    weights : dict
        Weights of a GMF, an MLP or a NeuMF; they go into the graph.
    path : Path
        The ONNX file. Weights that do not fit into one (2 GiB) go to ``PATH.data`` beside it.
    """
    if sum(array.nbytes for array in weights.values()) <= LARGEST_MODEL:
        path.write_bytes(score_graph(weights))
        return
    with path.with_name(f"{path.name}.data").open("wb") as file:
        path.write_bytes(score_graph(weights, file))
    onnx.checker.check_model(str(path), full_check=True)


def score_graph(weights: Weights, data: BinaryIO | None = None) -> bytes:
    """Build the graph; where ``data`` is given, the weights' bytes go to that open file."""
    graph = GraphBuilder()
    for name, array in weights.items():
        if data is None:
            graph.constant(name, array)
        else:
            graph.external(name, array, data)
    features = []
    if "gmf.user.weight" in weights:
        features.append(graph.node("Mul", *_embeddings(graph, "gmf")))
    if "mlp.user.weight" in weights:
        features.append(_tower(graph, weights))
    joined = graph.node("Concat", *features, axis=1)
    logits = _linear(graph, joined, "output")
    graph.outputs("Squeeze", logits, graph.integers(1), names=["logit"])
    return graph.model(
        "score",
        {side: (TensorProto.INT64, ["n"]) for side in ("user", "item")},
        {"logit": (TensorProto.FLOAT, ["n"])},
    )


def _embeddings(graph: GraphBuilder, branch: str) -> list[str]:
    return [graph.node("Gather", f"{branch}.{side}.weight", side) for side in ("user", "item")]


def _tower(graph: GraphBuilder, weights: Weights) -> str:
    hidden, layer = graph.node("Concat", *_embeddings(graph, "mlp"), axis=1), 0
    while f"mlp.tower.{layer}.weight" in weights:
        hidden = graph.node("Relu", _linear(graph, hidden, f"mlp.tower.{layer}"))
        layer += 1
    return hidden


def _linear(graph: GraphBuilder, source: str, layer: str) -> str:
    return graph.node("Gemm", source, f"{layer}.weight", f"{layer}.bias", transB=1)
