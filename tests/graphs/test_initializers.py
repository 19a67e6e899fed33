"""Weights read back from a graph's file are those that the onnx package reads."""

import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from ncf.errors import ArtifactError
from ncf.graphs.initializers import read_initializers
from ncf.scoring.bundle import Bundle

ARRAYS = {
    "first": np.arange(300, dtype=np.float32).reshape(20, 15),
    "empty": np.empty((0, 4), np.float32),
    "scalar": np.array(2.5, np.float32),
}


def model(**others: TensorProto) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(array, name) for name, array in ARRAYS.items()]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([], "g", [value], [value], [*tensors, *others.values()])
    return helper.make_model(graph)


def test_every_weight_of_a_bundles_graph_is_read(bundle: Bundle) -> None:
    tensors = onnx.load(bundle.score_graph).graph.initializer
    expected = {
        each.name: numpy_helper.to_array(each)
        for each in tensors
        if each.data_type == TensorProto.FLOAT
    }
    found = read_initializers(bundle.score_graph, expected)
    assert found.keys() == expected.keys()
    assert {"gmf.item.weight", "mlp.item.weight"} < found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("external", [False, True])
def test_weights_may_lie_inside_or_beside_the_graph(*, external: bool, tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    onnx.save(model(), path, save_as_external_data=external, location="g.data", size_threshold=0)
    found = read_initializers(path, [*ARRAYS, "missing"])
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)


def test_floats_written_one_by_one_are_read_too(tmp_path: Path) -> None:
    plain = helper.make_tensor("plain", TensorProto.FLOAT, [2, 2], [1, 2, 3, 4])
    (tmp_path / "g.onnx").write_bytes(model(plain=plain).SerializeToString())
    found = read_initializers(tmp_path / "g.onnx", ["plain"])
    assert found["plain"].tolist() == [[1, 2], [3, 4]]


def test_other_types_are_refused_and_left_alone_where_not_wanted(tmp_path: Path) -> None:
    whole = numpy_helper.from_array(np.arange(3), "whole")
    (tmp_path / "g.onnx").write_bytes(model(whole=whole).SerializeToString())
    assert read_initializers(tmp_path / "g.onnx", ["first"])["first"].shape == (20, 15)
    with pytest.raises(ArtifactError, match="not a tensor of 32-bit floats"):
        read_initializers(tmp_path / "g.onnx", ["whole"])


@given(cut=st.integers(0, 1400), flipped=st.integers(0, 1400), bits=st.integers(1, 255))
def test_damage_is_an_error_of_ours_or_no_error(
    cut: int, flipped: int, bits: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(model().SerializeToString())
    content[flipped % len(content)] ^= bits
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(bytes(content[: len(content) - cut % len(content)]))
    with contextlib.suppress(ArtifactError):
        read_initializers(path, ARRAYS)
