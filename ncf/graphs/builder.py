"""Write ONNX graphs: add nodes in order and constants by name, then make one model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

LARGEST_MODEL = 2**31 - 2**20  # bytes of constants; protobuf stops at 2 GiB
OPSET = 17
IR_VERSION = 8

Shape = Sequence[int | str]


class GraphBuilder:
    """Collects the nodes of one graph.

    Parameters
    ----------
    prefix : str
        Starts the names of values, so that names in a loop's body differ from those around it.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 - ints, strings and graphs
        """Add a node with one output, and return the output's name."""
        name = f"{self._prefix}{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def outputs(self, operator: str, *inputs: str, names: Sequence[str], **attributes: Any) -> None:  # noqa: ANN401 - as above
        """Add a node with given names of outputs."""
        self._nodes.append(helper.make_node(operator, inputs, names, **attributes))

    def constant(self, name: str, array: npt.ArrayLike) -> str:
        """Add a float32 or int64 constant; a second one of the same name must be equal."""
        self._constants[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def external(self, name: str, array: npt.NDArray[np.float32], file: BinaryIO) -> str:
        """Add a constant whose bytes go to the end of an open file beside the model."""
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=array.shape)
        tensor.data_location = TensorProto.EXTERNAL
        entries = {
            "location": Path(file.name).name,
            "offset": str(file.tell()),
            "length": str(array.nbytes),
        }
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
        file.write(np.ascontiguousarray(array).data)
        self._constants[name] = tensor
        return name

    def integers(self, *values: int) -> str:
        """Add a constant list of int64, named after its values."""
        return self.constant("int_" + "_".join(map(str, values)), np.array(values, np.int64))

    def body(
        self,
        name: str,
        inputs: Mapping[str, Shape],
        outputs: Mapping[str, Shape],
        kind: int = TensorProto.FLOAT,
    ) -> onnx.GraphProto:
        """Make the body of a loop from the nodes; outputs are float32, inputs of another kind."""
        return helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(n, kind, s) for n, s in inputs.items()],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        )

    def model(
        self,
        name: str,
        inputs: Mapping[str, tuple[int, Shape]],
        outputs: Mapping[str, tuple[int, Shape]],
    ) -> bytes:
        """Make a checked ONNX model from the nodes; the same graph gives the same bytes."""
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(n, *spec) for n, spec in inputs.items()],
            [helper.make_tensor_value_info(n, *spec) for n, spec in outputs.items()],
            [self._constants[key] for key in sorted(self._constants)],
        )
        model = helper.make_model(
            graph,
            producer_name="ncf",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        if not any(tensor.external_data for tensor in self._constants.values()):
            onnx.checker.check_model(model, full_check=True)  # else the caller checks the file
        content: bytes = model.SerializeToString(deterministic=True)
        return content
