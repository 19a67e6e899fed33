"""One server for all tests of serving: each worker imports torch, and starts in seconds."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from export.publish import publish
from export.source import Source
from ncf.data.prepared import PreparedData
from ncf.models.kinds import Kind
from ncf.scoring.bundle import Bundle, open_bundle
from tests.conftest import random_checkpoint
from tests.serving.live import Live, serving


@pytest.fixture(scope="session")
def next_bundle(data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Version 2.0 of the model, another one."""
    folder = tmp_path_factory.mktemp("next")
    checkpoint = random_checkpoint(folder / "gmf", data, Kind.GMF)
    publish(Source(checkpoint, data), folder, "ncf", "2.0")
    return open_bundle(folder / "ncf")


@pytest.fixture(scope="session")
def store(bundle: Bundle, next_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store of two versions."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copyfile(bundle.path.with_suffix(".mar"), folder / "ncf.mar")
    shutil.copyfile(next_bundle.path.with_suffix(".mar"), folder / "ncf-2.mar")
    return folder


@pytest.fixture
def state() -> Iterator[Path]:
    """A folder of state with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="ncf-") as folder:
        yield Path(folder, "state")


@pytest.fixture(scope="session")
def live(store: Path) -> Iterator[Live]:
    """``ncf serve`` of one worker, with the model API on."""
    with (
        tempfile.TemporaryDirectory(prefix="ncf-") as folder,
        serving(store, Path(folder, "state"), "--model-api") as server,
    ):
        yield server
