"""Check the weights of a checkpoint: shapes, and that all numbers are finite."""

from pathlib import Path

import numpy as np
import torch

from ncf.baselines.item_item import NEIGHBOUR, WEIGHT
from ncf.errors import ArtifactError
from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Kind
from ncf.models.weights import Weights


def check_shapes(weights: Weights, architecture: Architecture, where: Path) -> None:
    """Refuse weights of other names or shapes than the architecture's.

    Raises
    ------
    ArtifactError
        The message names the first that differs.
    """
    expected = _shapes(architecture)
    found = {name: array.shape for name, array in weights.items()}
    if found != expected:
        differing = sorted(set(found.items()) ^ set(expected.items()))
        raise ArtifactError(f"weights do not fit the architecture ({differing[0][0]})", where=where)
    nearest = weights.get(NEIGHBOUR)
    if nearest is not None and not (
        nearest.dtype == np.int32
        and nearest.min(initial=0) >= 0
        and nearest.max(initial=0) < architecture.n_items
    ):
        raise ArtifactError("neighbours are no indices of items", where=where)


def _shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    if architecture.kind is Kind.ITEM_ITEM:
        shape = (architecture.n_items, architecture.factors)
        full = architecture.factors == architecture.n_items
        return {WEIGHT: shape} if full else {WEIGHT: shape, NEIGHBOUR: shape}
    with torch.device("meta"):
        return {name: tuple(t.shape) for name, t in build(architecture).state_dict().items()}


def check_finite(weights: Weights, where: Path) -> None:
    """Refuse weights that are no float32, or NaN or infinite.

    Raises
    ------
    ArtifactError
        The message names the array.
    """
    for name, array in weights.items():
        if name == NEIGHBOUR:
            continue  # indices: see check_shapes
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ArtifactError(
                f"weights {name!r} are not all finite float32 numbers",
                where=where,
                remedy="train again, with a lower learning rate",
            )
