"""Find the audience of a batch: its users, their excluded items, and the eligible items."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch.filters import Filters
from batch.manifest import FileCounts
from ncf.columns import Columns
from ncf.data.id_files import find, read_ids, read_pairs
from ncf.data.naming import Naming, ReadAs
from ncf.errors import UsageError
from ncf.identifiers import IdMap
from ncf.policies import ColdUser, Strangers
from ncf.scoring.bundle import Bundle
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.seen import Fresh, Seen

logger = logging.getLogger(__name__)

_WHOM = "give ids that the ratings file had, or leave `users` out"

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Audience:
    """The users of a batch by position: trained users by ascending index, then strangers.

    Strangers are, first, users of the bundle who have no training pair, by ascending index: the
    model would give them noise. Then come those whom it does not know.

    Parameters
    ----------
    bundle : Bundle
        The exported model.
    chosen : int64 array of shape (n,), or None
        Indices of the trained users, ascending; None means all.
    strangers : sequence of str
        Raw ids of the strangers.
    eligibility : Eligibility
        Says what may be listed; excludes items seen before and after the export.
    strangers_seen : Seen
        Seen items of the strangers, by position among them.
    counts : FileCounts
        Counts of what the files hold, for reports.
    """

    bundle: Bundle
    chosen: Indices | None
    strangers: Sequence[str]
    eligibility: Eligibility
    strangers_seen: Seen
    counts: FileCounts

    @property
    def n_trained(self) -> int:
        """Count of trained users."""
        return self.bundle.n_users if self.chosen is None else self.chosen.size

    def __len__(self) -> int:
        """Count of all users."""
        return self.n_trained + len(self.strangers)

    @cached_property
    def popular(self) -> npt.NDArray[np.int32]:
        """Eligible items, most popular first."""
        popular = self.bundle.popular
        return popular[self.eligibility.items[popular]]

    def trained(self, start: int, stop: int) -> Indices:
        """List the indices of the trained users at positions from ``start`` to ``stop``."""
        stop = min(stop, self.n_trained)
        if self.chosen is None:
            return np.arange(start, max(start, stop), dtype=np.int64)
        return self.chosen[start:stop]


def read_audience(bundle: Bundle, filters: Filters) -> Audience:
    """Read the files, and look up their ids in the bundle.

    Raises
    ------
    RatingsError
        A file cannot be read.
    UsageError
        No user or no item is left.
    """
    counts: dict[str, int] = {}
    items = _eligible_items(bundle, filters, counts)
    pairs = _Pairs.read(bundle, filters, counts)
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
    if _wanted(bundle, filters) is Strangers.SKIP:
        cold, unknown = cold[:0], []
    strangers = [*map(bundle.users.raw.__getitem__, cold.tolist()), *unknown]
    if chosen is not None and not chosen.size and not strangers:
        raise UsageError("names no user whom the model knows", where=filters.users, remedy=_WHOM)
    eligibility = Eligibility(items, (bundle.seen, pairs.fresh()))
    seen = pairs.of_strangers(bundle.seen, cold, unknown)
    return Audience(bundle, chosen, strangers, eligibility, seen, FileCounts(**counts))


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


@dataclass(frozen=True)
class _Pairs:
    """Interactions since the export, without those of unknown items."""

    known: Indices  # user index of each distinct user; -1 for strangers
    strange: pa.StringArray  # raw ids of these strangers, in their order
    users: Indices  # position in known, one for each pair
    items: Indices  # item index, one for each pair
    n_items: int

    @classmethod
    def read(cls, bundle: Bundle, filters: Filters, counts: dict[str, int]) -> "_Pairs":
        path = filters.seen
        if path is None:
            nothing = np.empty(0, np.int64)
            return cls(nothing, pa.array([], pa.string()), nothing, nothing, bundle.n_items)
        users, items = read_pairs(path, _read_as(filters, "seen"))
        item_of = find(bundle.items, items.dictionary)
        _warn_of_strange_items(path, item_of)
        found = item_of[_codes(items)]
        rows = found >= 0
        counts["seen_rows"] = len(users)
        counts["seen_rows_of_unknown_items"] = int(np.count_nonzero(~rows))
        known = find(bundle.users, users.dictionary)
        strange = users.dictionary.filter(pa.array(known < 0))
        return cls(known, strange, _codes(users)[rows], found[rows], bundle.n_items)

    def fresh(self) -> Fresh:
        users = self.known[self.users]
        rows = users >= 0
        return Fresh.of_pairs(users[rows], self.items[rows], self.n_items)

    def of_strangers(self, exported: Seen, cold: Indices, unknown: Sequence[str]) -> Seen:
        """Collect what cold users, and then unknown ones, had seen at the export and since."""
        places = np.full(self.known.size, -1, np.int64)
        found = find(IdMap(unknown), self.strange)
        places[self.known < 0] = np.where(found < 0, -1, cold.size + found)
        if cold.size:
            at = np.minimum(np.searchsorted(cold, self.known), cold.size - 1)
            places = np.where(cold[at] == self.known, at, places)
        position = places[self.users]
        rows = position >= 0
        before = exported.pairs(cold)
        owners = np.concatenate([before[:, 0], position[rows]])
        items = np.concatenate([before[:, 1], self.items[rows]])
        return Seen.of_pairs(owners, items, (cold.size + len(unknown), self.n_items))


def _codes(ids: pa.DictionaryArray) -> Indices:
    codes: Indices = ids.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _eligible_items(
    bundle: Bundle, filters: Filters, counts: dict[str, int]
) -> npt.NDArray[np.bool_]:
    items, named = np.full(bundle.n_items, filters.candidates is None), []
    for name, value in (("candidates", True), ("exclude_items", False)):
        if (path := filters.files().get(name)) is not None:
            ids = read_ids(path, Columns.ITEM_ID, _read_as(filters, name))
            indices = find(bundle.items, ids)
            _warn_of_strange_items(path, indices)
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


def _warn_of_strange_items(path: Path, indices: Indices) -> None:
    if indices.size and (indices < 0).all():
        logger.warning("%s: the bundle knows none of its items; are these the same ids?", path)
