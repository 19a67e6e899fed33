from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export.source import Source
from export.triton import TRITON, write_repository
from ncf.artifacts import open_sealed
from ncf.data.prepared import PreparedData
from ncf.errors import UsageError
from ncf.models.kinds import Kind
from ncf.scoring.bundle import Bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.sessions import open_cpu
from ncf.training.checkpoint import Checkpoint
from tests.conftest import random_checkpoint


def test_the_config_is_what_tritons_own_protobuf_reads(
    checkpoint: Checkpoint, data: PreparedData, tmp_path: Path
) -> None:
    write_repository(Source(checkpoint, data), tmp_path, "ncf", 7)
    text = (tmp_path / "ncf" / "config.pbtxt").read_text()
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert (config.name, config.platform, config.max_batch_size) == ("ncf", "onnxruntime_onnx", 64)
    assert config.dynamic_batching.max_queue_delay_microseconds == 5000
    session = open_cpu(tmp_path / "ncf" / "1" / "model.onnx")
    types = {"tensor(int64)": "TYPE_INT64", "tensor(float)": "TYPE_FP32"}
    for listed, real in (
        (config.input, session.get_inputs()),
        (config.output, session.get_outputs()),
    ):
        names = {
            each.name: (model_config_pb2.DataType.Name(each.data_type), list(each.dims))
            for each in listed
        }
        # Triton adds the batch in front of the dimensions it is told.
        assert names == {each.name: (types[each.type], each.shape[1:]) for each in real}
    open_sealed(tmp_path / "ncf", TRITON)


@pytest.mark.parametrize("kind", Kind.networks())
def test_the_graph_answers_as_the_bundle_does(
    kind: Kind, data: PreparedData, tmp_path: Path
) -> None:
    checkpoint = random_checkpoint(tmp_path / "c", data, kind)
    write_repository(Source(checkpoint, data), tmp_path, "ncf", 25)
    session = open_cpu(tmp_path / "ncf" / "1" / "model.onnx")
    users = np.array([[3], [39], [0], [3]])
    items, logits = session.run(["item", "logit"], {"user": users})
    known = data.interactions()
    for row, user in enumerate(users[:, 0].tolist()):
        valid = np.isfinite(logits[row])
        seen = set(known.items[known.users == user].tolist())
        assert valid.sum() == min(25, len(data.items) - len(seen))
        assert not seen & set(items[row, valid].tolist())
    np.testing.assert_array_equal(items[0], items[3])


def test_an_index_out_of_range_gets_nothing_and_fails_no_neighbour(
    checkpoint: Checkpoint, data: PreparedData, tmp_path: Path
) -> None:
    write_repository(Source(checkpoint, data), tmp_path, "ncf", 10)
    session = open_cpu(tmp_path / "ncf" / "1" / "model.onnx")
    (alone,) = session.run(["logit"], {"user": np.array([[39]])})
    (logits,) = session.run(["logit"], {"user": np.array([[-1], [39], [40], [10**12]])})
    assert np.isneginf(logits[[0, 2, 3]]).all()
    np.testing.assert_array_equal(logits[1], alone[0])


def test_it_agrees_with_the_exported_bundle(
    checkpoint: Checkpoint, data: PreparedData, bundle: Bundle, tmp_path: Path
) -> None:
    write_repository(Source(checkpoint, data), tmp_path, "ncf", 10)
    session = open_cpu(tmp_path / "ncf" / "1" / "model.onnx")
    users = np.arange(40)
    items, logits = session.run(["item", "logit"], {"user": users[:, None]})
    top = ExactRanker.open(bundle).rank(users, 10)
    np.testing.assert_array_equal(items, top.items)
    np.testing.assert_array_equal(logits, top.scores)


@pytest.mark.parametrize(("name", "k"), [("../x", 5), ("ncf", 0), ("ncf", 31)])
def test_names_and_lengths_out_of_range_are_refused(
    name: str, k: int, checkpoint: Checkpoint, data: PreparedData, tmp_path: Path
) -> None:
    with pytest.raises(UsageError):
        write_repository(Source(checkpoint, data), tmp_path / "repository", name, k)
    assert not (tmp_path / "repository").exists()
