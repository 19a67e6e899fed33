"""Prepared data without a tenth of its users or items in training, for honest figures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ncf.data.interactions import Interactions
from ncf.data.prepared import (
    PreparedData,
    negatives_path,
    open_data,
    seal_data,
    write_interactions,
)

Mask = npt.NDArray[np.bool_]

_SHARE = 10


def a_tenth(size: int, seed: int = 0) -> Mask:
    """Draw a tenth of users or items, bool of shape ``(size,)``."""
    mask = np.zeros(size, np.bool_)
    mask[np.random.default_rng(seed).permutation(size)[: size // _SHARE]] = True
    return mask


def without(data: PreparedData, folder: Path, users: Mask, items: Mask) -> PreparedData:
    """Write data whose training and validation know neither the users nor the items."""

    def kept(pairs: Interactions) -> Mask:
        found: Mask = ~users[pairs.users] & ~items[pairs.items]
        return found

    folder.mkdir(parents=True)
    train = data.train.take(kept(data.train))
    write_interactions(folder, "train", train)
    sizes: dict[str, Any] = {"train": len(train)}
    for part, cases in (("validation", data.validation), ("test", data.test)):
        some = cases.take(kept(cases.positives))
        write_interactions(folder, part, some.positives)
        np.save(negatives_path(folder, part), np.asarray(some.negatives))
        sizes[part] = len(some.positives)
    manifest = data.manifest
    counts = replace(manifest.counts, **sizes)
    seal_data(folder, data.users, data.items, replace(manifest, digest="", files={}, counts=counts))
    return open_data(folder)
