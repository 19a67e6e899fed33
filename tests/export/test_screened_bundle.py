import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from export.publish import publish
from export.screen.assembly import summary
from export.source import Source
from export.verify import verify_bundle
from ncf.artifacts import seal
from ncf.data.prepared import PreparedData
from ncf.errors import ArtifactError, ParityError
from ncf.models.kinds import Kind
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.manifest import BUNDLE
from ncf.scoring.screen_manifest import NoScreen
from ncf.training.checkpoint import Checkpoint
from tests.conftest import random_checkpoint


def test_the_bundle_of_a_screen_is_what_the_documents_say(screened_bundle: Bundle) -> None:
    names = {path.name for path in screened_bundle.path.iterdir()}
    assert {"screen.onnx", "rescore.onnx"} <= names
    schema = json.loads((Path(__file__).parents[2] / "docs/bundle.schema.json").read_bytes())
    manifest = json.loads((screened_bundle.path / "bundle.json").read_bytes())
    jsonschema.validate(manifest, schema)
    assert {"screen.onnx", "rescore.onnx"} <= manifest["parity"].keys()
    assert summary(screened_bundle.manifest.screen).startswith("lists of 10, 20")
    card = (screened_bundle.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "- K = 10: " in card
    report = verify_bundle(screened_bundle.path)
    assert max(report["screen.onnx"], report["rescore.onnx"]) <= 1e-5


def test_no_screen_is_made_where_none_is_wanted(
    wide_checkpoint: Checkpoint, wide_data: PreparedData, tmp_path: Path
) -> None:
    publish(Source(wide_checkpoint, wide_data, screen=False), tmp_path, "ncf")
    plain = open_bundle(tmp_path / "ncf")
    assert plain.manifest.screen == NoScreen("not asked for")
    assert not plain.has_screen
    assert not (plain.path / "screen.onnx").exists()
    verify_bundle(plain.path)
    card = (plain.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "None: not asked for." in card


@pytest.fixture
def copy(screened_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(screened_bundle.path, tmp_path / "ncf"))


def _reseal(folder: Path, **changes: object) -> None:
    document = json.loads((folder / "bundle.json").read_bytes())
    seal(folder, BUNDLE, {**document, **changes})


@pytest.mark.parametrize("name", ["screen.onnx", "rescore.onnx"])
def test_a_bundle_that_lacks_half_of_its_screen_is_refused(name: str, copy: Path) -> None:
    (copy / name).unlink()
    _reseal(copy)
    with pytest.raises(ArtifactError, match=name):
        open_bundle(copy)


def test_a_screen_of_another_model_is_refused_although_its_digest_is_right(
    copy: Path, wide_checkpoint: Checkpoint, wide_data: PreparedData, tmp_path: Path
) -> None:
    weights = wide_checkpoint.weights
    shifted = {**weights, "output.bias": weights["output.bias"] + np.float32(0.01)}
    other = Checkpoint(
        wide_checkpoint.path,
        wide_checkpoint.architecture,
        shifted,
        wide_checkpoint.users,
        wide_checkpoint.items,
        wide_checkpoint.manifest,
    )
    publish(Source(other, wide_data), tmp_path / "store", "other")
    shutil.copyfile(tmp_path / "store/other/screen.onnx", copy / "screen.onnx")
    _reseal(copy)
    with pytest.raises(ParityError, match=r"screen\.onnx says"):
        verify_bundle(copy)


def test_a_screen_that_misses_more_than_it_says_is_refused(copy: Path) -> None:
    document = json.loads((copy / "bundle.json").read_bytes())
    screen = document["screen"]
    screen["by_k"] = [{**each, "candidates": each["k"]} for each in screen["by_k"]]
    _reseal(copy, screen=screen)
    with pytest.raises(ParityError, match=r"screen\.onnx misses"):
        verify_bundle(copy)


def test_a_gmf_is_exported_without_a_screen(data: PreparedData, tmp_path: Path) -> None:
    checkpoint = random_checkpoint(tmp_path / "c", data, Kind.GMF)
    publish(Source(checkpoint, data), tmp_path, "ncf")
    screen = open_bundle(tmp_path / "ncf").manifest.screen
    assert isinstance(screen, NoScreen)
    assert "no tower" in screen.reason
