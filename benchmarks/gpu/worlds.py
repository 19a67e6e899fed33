"""Models to score with: exported here, or found in the kit, where nothing can be exported.

A world is a folder: ``ncf`` (a bundle), and of the trained one ``weights.npz`` (for what scores
without ONNX).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.gpu.part import Skipped, require
from ncf.models.architecture import Architecture
from ncf.models.kinds import Kind

TRAINED = "trained"
_NEEDS = ("onnx", "onnxruntime", "pyarrow", "pydantic", "safetensors", "scipy")


@dataclass(frozen=True)
class Shape:
    """What a world of random weights holds."""

    kind: Kind
    layers: int
    factors: int


RANDOM = {
    "gmf": Shape(Kind.GMF, 3, 32),
    "mlp-1": Shape(Kind.MLP, 1, 32),
    "mlp-3": Shape(Kind.MLP, 3, 32),
    "neumf-2": Shape(Kind.NEUMF, 2, 16),
    "neumf-5": Shape(Kind.NEUMF, 5, 8),
}


def names(worlds: Path) -> list[str]:
    """Names of the worlds that a folder holds, the trained one first."""
    found = sorted(path.parent.name for path in worlds.glob("*/ncf"))
    return sorted(found, key=lambda name: name != TRAINED)


def make(
    worlds: Path, *, small: bool, checkpoint: Path | None = None, data: Path | None = None
) -> None:
    """Export the worlds that a folder lacks.

    Parameters
    ----------
    worlds : Path
        Their folder.
    small : bool
        Few users and items, for a rehearsal.
    checkpoint, data : Path, optional
        A trained model, and what it was trained on; one is trained here where they are missing.

    Raises
    ------
    Skipped
        Something that exporting needs is not installed.
    """
    missing = [name for name in (TRAINED, *RANDOM) if not (worlds / name / "ncf").exists()]
    if not missing:
        return
    require(*_NEEDS)
    from benchmarks.gpu.making import export_world, random_source, trained_source

    users, items = (60, 80) if small else (200, 600)
    for name in missing:
        folder = worlds / name
        if name != TRAINED:
            shape = RANDOM[name]
            sizes = Architecture(shape.kind, users, items, shape.factors, shape.layers)
            source = random_source(folder, sizes)
        else:
            if (checkpoint is None) != (data is None):
                raise Skipped("--checkpoint needs --data, and the other way round")
            source = trained_source(folder, checkpoint, data, small=small)
        export_world(source, folder, weights=name == TRAINED)


def weights_of(worlds: Path, name: str) -> dict[str, np.ndarray]:
    """Read the weights of a world, by name."""
    with np.load(worlds / name / "weights.npz", allow_pickle=False) as file:
        return dict(file)
