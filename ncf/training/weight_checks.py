"""Check the weights of a checkpoint: shapes, and that all numbers are finite."""

from pathlib import Path

import numpy as np
import torch

from ncf.errors import ArtifactError
from ncf.models.architecture import Architecture, build
from ncf.models.weights import Weights


def check_shapes(weights: Weights, architecture: Architecture, where: Path) -> None:
    """Refuse weights of other names or shapes than the architecture's.

    Raises
    ------
    ArtifactError
        The message names the first that differs.
    """
    with torch.device("meta"):
        expected = {name: tuple(t.shape) for name, t in build(architecture).state_dict().items()}
    found = {name: array.shape for name, array in weights.items()}
    if found != expected:
        differing = sorted(set(found.items()) ^ set(expected.items()))
        raise ArtifactError(f"weights do not fit the architecture ({differing[0][0]})", where=where)


def check_finite(weights: Weights, where: Path) -> None:
    """Refuse weights that are no float32, or NaN or infinite.

    Raises
    ------
    ArtifactError
        The message names the array.
    """
    for name, array in weights.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ArtifactError(
                f"weights {name!r} are not all finite float32 numbers",
                where=where,
                remedy="train again, with a lower learning rate",
            )
