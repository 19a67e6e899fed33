"""These tests run where nothing of ours is installed, too: their needs are light.

``NCF_WORLDS`` names a folder of exported models (see benchmarks/gpu/worlds.py), ``NCF_DEVICE``
where to compute: ``cuda`` by default, ``cpu`` for a rehearsal.
"""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.worlds import make
from ncf.devices import Device


@pytest.fixture(scope="session")
def device() -> Device:
    """Where to compute; tests are skipped where CUDA is asked for and missing."""
    asked = Device(os.environ.get("NCF_DEVICE", "cuda"))
    if asked is Device.CUDA and not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU here")
    return asked


@pytest.fixture(scope="session")
def worlds(device: Device, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported models: those that are given, else small ones made here."""
    if find_spec("onnxruntime") is None:
        pytest.skip("ONNX Runtime is not installed here")
    if (given := os.environ.get("NCF_WORLDS")) is not None:
        return Path(given)
    from ncf.errors import CapabilityError
    from ncf.scoring.sessions import open_cuda

    folder = tmp_path_factory.mktemp("worlds")
    make(folder, small=True)
    if device is Device.CUDA:
        try:
            open_cuda(folder / "trained" / "ncf" / "score.onnx")
        except CapabilityError as error:
            pytest.skip(str(error))
    return folder
