"""Read what the files of a batch select: users, their interactions, and the eligible items.

A selection is arrays alone, so that it can be written to one file, and workers read no other.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch.filters import Filters
from batch.manifest import FileCounts
from batch.pair_files import Indices, PairFile
from batch.refresh import refreshed_users
from batch.rows import Exported, Histories
from ncf.columns import Columns
from ncf.data.id_files import find, read_ids
from ncf.data.naming import Naming, ReadAs
from ncf.errors import UsageError
from ncf.policies import ColdUser, Strangers
from ncf.scoring.bundle import Bundle
from ncf.scoring.fold_in import FoldIn
from ncf.scoring.seen import Fresh

logger = logging.getLogger(__name__)

_WHOM = "give ids that the ratings file had, or leave `users` out"


@dataclass(frozen=True)
class Selection:
    """What files select of a bundle, by index.

    Parameters
    ----------
    chosen : int64 array of shape (n,), or None
        Indices of the trained users, ascending; None means all of the bundle.
    folded, unranked : int64 arrays
        Indices of the strangers who are folded in, and of the others.
    refreshed : int64 array
        Indices of the trained users whose rows are refreshed.
    unknown : sequence of str
        Raw ids of the strangers whom the bundle does not know, by index.
    items : bool array of shape (items,)
        Whether an item may be listed at all.
    since : Fresh
        Interactions since the export.
    refused : Fresh or None
        Pairs not to list; None without such a file.
    counts : FileCounts
        Counts of what the files hold, for reports.
    """

    chosen: Indices | None
    folded: Indices
    unranked: Indices
    refreshed: Indices
    unknown: Sequence[str]
    items: npt.NDArray[np.bool_]
    since: Fresh
    refused: Fresh | None
    counts: FileCounts


def read_selection(bundle: Bundle, filters: Filters) -> Selection:
    """Read the files, and look up their ids in the bundle.

    Raises
    ------
    RatingsError
        A file cannot be read.
    UsageError
        No user or no item is left, or rows are to be refreshed and the bundle cannot fold in.
    """
    counts: dict[str, int] = {}
    items = _eligible_items(bundle, filters, counts)
    pairs = _read_pairs(bundle, filters, "seen", counts)
    chosen, unknown = None, pairs.strange.to_pylist()
    if filters.users is not None:
        asked = read_ids(filters.users, Columns.USER_ID, _read_as(filters, "users"))
        if not len(asked):
            raise UsageError("names no user", where=filters.users, remedy=_WHOM)
        indices = find(bundle.users, asked)
        chosen = np.unique(indices[indices >= 0])
        unknown = asked.filter(pa.array(indices < 0)).to_pylist()
    counts["unknown_users"] = len(unknown)
    chosen, cold = _without_cold(bundle, chosen, counts)
    strangers = np.concatenate([cold, bundle.n_users + np.arange(len(unknown))])
    histories = Histories(Exported(bundle.seen), pairs.of_users(unknown))
    fold_in = FoldIn.open(bundle) if strangers.size or filters.refresh else None
    known = np.zeros(strangers.size, np.bool_)
    if fold_in is not None:
        known = histories.lengths(strangers) >= fold_in.least
    folded, unranked = strangers[known], strangers[~known]
    if _wanted(bundle, filters) is Strangers.SKIP:
        unranked = unranked[:0]
    if chosen is not None and not chosen.size and not folded.size + unranked.size:
        raise UsageError("names no user whom the model knows", where=filters.users, remedy=_WHOM)
    refreshed = refreshed_users(bundle, filters, histories, chosen, counts)
    refused = None
    if filters.exclude_pairs is not None:
        refused = _read_pairs(bundle, filters, "exclude_pairs", counts).of_users(unknown)
    return Selection(
        chosen=chosen,
        folded=folded,
        unranked=unranked,
        refreshed=refreshed,
        unknown=unknown,
        items=items,
        since=histories.since,
        refused=refused,
        counts=FileCounts(**counts),
    )


def _read_pairs(bundle: Bundle, filters: Filters, name: str, counts: dict[str, int]) -> PairFile:
    """Read one of the files of pairs, and count its rows."""
    path = filters.files().get(name)
    found = PairFile.read(bundle, path, _read_as(filters, name))
    if path is not None:
        if found.rows and found.rows == found.rows_of_unknown_items:
            _warn_of_strange_items(path)
        counts[f"{name}_rows"] = found.rows
        counts[f"{name}_rows_of_unknown_items"] = found.rows_of_unknown_items
    return found


def _read_as(filters: Filters, option: str) -> ReadAs:
    names = {} if option in filters.plain else filters.columns
    return ReadAs(Naming(names), filters.keep_spaces)


def _without_cold(
    bundle: Bundle, chosen: Indices | None, counts: dict[str, int]
) -> tuple[Indices | None, Indices]:
    """Part users with a training pair from those without one, and count these if there are any."""
    if not bundle.cold.size:
        return chosen, bundle.cold
    asked = np.arange(bundle.n_users) if chosen is None else chosen
    cold = np.intersect1d(asked, bundle.cold, assume_unique=True)
    counts["cold_users"] = cold.size
    return np.setdiff1d(asked, cold, assume_unique=True), cold


def _wanted(bundle: Bundle, filters: Filters) -> Strangers:
    if filters.strangers is not None:
        return filters.strangers
    refused = bundle.manifest.cold_user is ColdUser.ERROR
    return Strangers.SKIP if refused else Strangers.POPULAR


def _eligible_items(
    bundle: Bundle, filters: Filters, counts: dict[str, int]
) -> npt.NDArray[np.bool_]:
    items, named = np.full(bundle.n_items, filters.candidates is None), []
    for name, value in (("candidates", True), ("exclude_items", False)):
        if (path := filters.files().get(name)) is not None:
            ids = read_ids(path, Columns.ITEM_ID, _read_as(filters, name))
            indices = find(bundle.items, ids)
            if indices.size and (indices < 0).all():
                _warn_of_strange_items(path)
            counts[f"{name}_unknown"] = int(np.count_nonzero(indices < 0))
            items[indices[indices >= 0]] = value
            named.append(str(path))
    if not items.any():
        raise UsageError(
            "no item of the bundle is left to list",
            where=" and ".join(named),
            remedy="are these the ids that the ratings file had?",
        )
    return items


def _warn_of_strange_items(path: Path) -> None:
    logger.warning("%s: the bundle knows none of its items; are these the same ids?", path)
