"""The plain scoring graph, written as ONNX from the weights: the parity reference.

The graph is built node by node and not traced, so that its bytes depend on nothing but the
weights, and so that parity compares two independent statements of the same maths.
"""

import onnx
from onnx import TensorProto, helper, numpy_helper

from ncf.errors import ArtifactError
from ncf.training.checkpoint import Checkpoint, Weights

OPSET = 17
IR_VERSION = 8
_LARGEST = 2**31 - 2**16  # bytes; protobuf stops at 2 GiB


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
    nodes: list[onnx.NodeProto] = []
    features = []
    if "gmf.user.weight" in weights:
        features.append(_gmf(nodes))
    if "mlp.user.weight" in weights:
        features.append(_mlp(nodes, weights))
    nodes.append(helper.make_node("Concat", features, ["features"], axis=1))
    nodes.append(_linear("features", "output", "logits"))
    nodes.append(helper.make_node("Squeeze", ["logits", "last_axis"], ["logit"]))
    initializers = [numpy_helper.from_array(array, name) for name, array in sorted(weights.items())]
    initializers.append(helper.make_tensor("last_axis", TensorProto.INT64, [1], [1]))
    return _model("score", nodes, initializers)


def _gmf(nodes: list[onnx.NodeProto]) -> str:
    nodes += _embeddings("gmf")
    nodes.append(helper.make_node("Mul", ["gmf.user", "gmf.item"], ["gmf.product"]))
    return "gmf.product"


def _mlp(nodes: list[onnx.NodeProto], weights: Weights) -> str:
    nodes += _embeddings("mlp")
    nodes.append(helper.make_node("Concat", ["mlp.user", "mlp.item"], ["mlp.pair"], axis=1))
    hidden, layer = "mlp.pair", 0
    while f"mlp.tower.{layer}.weight" in weights:
        nodes.append(_linear(hidden, f"mlp.tower.{layer}", f"mlp.sum.{layer}"))
        hidden = f"mlp.hidden.{layer}"
        nodes.append(helper.make_node("Relu", [f"mlp.sum.{layer}"], [hidden]))
        layer += 1
    return hidden


def _embeddings(branch: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Gather", [f"{branch}.{side}.weight", side], [f"{branch}.{side}"])
        for side in ("user", "item")
    ]


def _linear(source: str, layer: str, target: str) -> onnx.NodeProto:
    inputs = [source, f"{layer}.weight", f"{layer}.bias"]
    return helper.make_node("Gemm", inputs, [target], transB=1)


def _model(name: str, nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto]) -> bytes:
    inputs = [helper.make_tensor_value_info(s, TensorProto.INT64, ["n"]) for s in ("user", "item")]
    outputs = [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["n"])]
    graph = helper.make_graph(nodes, name, inputs, outputs, initializers)
    model = helper.make_model(
        graph,
        producer_name="ncf",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content
