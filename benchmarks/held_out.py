"""Prepared data without a tenth of its users or items in training, for honest figures."""

from collections.abc import Callable
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

    return written(data, folder, kept(data.train), kept)


def without_last(data: PreparedData, folder: Path, last: int) -> PreparedData:
    """Write data without the last training pairs of users who have at least four times as many."""

    def everything(pairs: Interactions) -> Mask:
        return np.ones(len(pairs), np.bool_)

    return written(data, folder, ~last_pairs(data, last), everything)


def last_pairs(data: PreparedData, last: int) -> Mask:
    """Find the last training pairs of users who have at least four times as many.

    A user's pairs are in order of time, or of the file.
    """
    users = data.train.users
    counts = np.bincount(users, minlength=len(data.users))
    order = np.argsort(users, kind="stable")
    ends = np.cumsum(counts)[users[order]]
    found = np.zeros(users.size, np.bool_)
    found[order] = (ends - np.arange(users.size) <= last) & (counts[users[order]] >= 4 * last)
    return found


def written(
    data: PreparedData, folder: Path, train_rows: Mask, kept: Callable[[Interactions], Mask]
) -> PreparedData:
    """Write data with some of the training pairs, and some of the validation and test cases."""
    folder.mkdir(parents=True)
    train = data.train.take(train_rows)
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
