"""The plain scoring graph, written as ONNX from the weights: the parity reference.

The graph is built node by node and not traced, so that its bytes depend on nothing but the
weights, and so that parity compares two independent statements of the same maths.
"""

from onnx import TensorProto

from export.builder import GraphBuilder
from ncf.errors import ArtifactError
from ncf.training.checkpoint import Checkpoint, Weights

_LARGEST = 2**31 - 2**20  # bytes; protobuf stops at 2 GiB


def score_graph(checkpoint: Checkpoint) -> bytes:
    """Build ``user[n] int64, item[n] int64 -> logit[n] float32``.

    Parameters
    ----------
    checkpoint : Checkpoint
        GMF, MLP or NeuMF; its weights go into the graph.

    Returns
    -------
    bytes
        A checked ONNX model.

    Raises
    ------
    ArtifactError
        The weights do not fit into one ONNX file.
    """
    weights = checkpoint.weights
    size = sum(array.nbytes for array in weights.values())
    if size > _LARGEST:
        raise ArtifactError(
            f"{size:,} bytes of weights do not fit into one ONNX file ({_LARGEST:,})",
            where=checkpoint.path,
            remedy="train with fewer factors or layers",
        )
    graph = GraphBuilder()
    for name, array in weights.items():
        graph.constant(name, array)
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
