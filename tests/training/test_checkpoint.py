import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from ncf.artifacts import seal
from ncf.data.prepared import PreparedData
from ncf.data.tables import write_id_table
from ncf.errors import ArtifactError
from ncf.identifiers import IdMap
from ncf.models.kinds import Kind
from ncf.training.checkpoint import WEIGHTS_FILE, Checkpoint, open_checkpoint, write_checkpoint
from ncf.training.manifest import CHECKPOINT, Outcome
from ncf.training.trained import Trained
from ncf.validation import Epoch
from tests.conftest import random_checkpoint


@pytest.fixture
def folder(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint.path, tmp_path / "copy"))


def _reseal(folder: Path) -> None:
    document = json.loads((folder / "config.json").read_bytes())
    for key in ("digest", "files", "schema_version"):
        del document[key]
    seal(folder, CHECKPOINT, document)


@pytest.mark.parametrize("kind", Kind.networks())
def test_what_is_written_is_what_is_opened(kind: Kind, data: PreparedData, tmp_path: Path) -> None:
    written = random_checkpoint(tmp_path / "c", data, kind)
    state = written.model().state_dict()
    for name, array in written.weights.items():
        np.testing.assert_array_equal(state[name].numpy(), array)
    assert written.users.raw == data.users.raw
    assert written.items.titles == data.items.titles
    assert written.manifest.data.digest == data.digest


@pytest.mark.parametrize(
    "name", ["model.safetensors", "users.parquet", "items.parquet", "history.json"]
)
def test_a_damaged_file_is_named_before_anything_is_loaded(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=name):
        open_checkpoint(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(folder: Path, value: float) -> None:
    weights = load_file(folder / WEIGHTS_FILE)
    weights["output.bias"][0] = value
    save_file(weights, folder / WEIGHTS_FILE)
    _reseal(folder)
    with pytest.raises(ArtifactError, match=r"output\.bias"):
        open_checkpoint(folder)


def test_weights_that_are_not_finite_are_never_written(
    checkpoint: Checkpoint, data: PreparedData, tmp_path: Path
) -> None:
    broken = {**checkpoint.weights, "output.bias": np.array([np.nan], np.float32)}
    trained = Trained(checkpoint.architecture, broken, [], Outcome("neumf"))
    with pytest.raises(ArtifactError, match=r"output\.bias"):
        write_checkpoint(tmp_path / "c", trained, data)
    assert not (tmp_path / "c").exists()


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS_FILE)
    weights["gmf.item.weight"] = weights["gmf.item.weight"][:-1].copy()
    save_file(weights, folder / WEIGHTS_FILE)
    _reseal(folder)
    with pytest.raises(ArtifactError, match=r"gmf\.item\.weight"):
        open_checkpoint(folder)


def test_id_maps_of_another_size_are_refused(folder: Path) -> None:
    write_id_table(folder / "users.parquet", IdMap(["only one"]), "user_id")
    _reseal(folder)
    with pytest.raises(ArtifactError, match="differ in size"):
        open_checkpoint(folder)


def test_a_pickle_is_refused_and_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ArtifactError, match="never loaded"):
        open_checkpoint(path)
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(path, folder / WEIGHTS_FILE)
    seal(folder, CHECKPOINT, {"architecture": {}})
    with pytest.raises(ArtifactError, match=r"field 'architecture\.kind' is missing"):
        open_checkpoint(folder)
    assert not (tmp_path / "exploded").exists()


def test_the_same_weights_give_the_same_bytes(
    checkpoint: Checkpoint, data: PreparedData, tmp_path: Path
) -> None:
    trained = Trained(
        checkpoint.architecture, checkpoint.weights, [Epoch(1, 0.5, 0.5, 0.4)], Outcome("neumf")
    )
    for name in ("one", "two"):
        write_checkpoint(tmp_path / name, trained, data)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_other_data_is_refused_naming_both_digests(
    checkpoint: Checkpoint, data: PreparedData
) -> None:
    other = replace(data, manifest=replace(data.manifest, digest="f" * 64))
    with pytest.raises(ArtifactError, match=f"{data.digest[:12]}.*ffffffffffff"):
        checkpoint.require_data(other)


def test_opening_does_not_disturb_torchs_random_state(checkpoint: Checkpoint) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    open_checkpoint(checkpoint.path)
    assert torch.equal(torch.rand(3), expected)
