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
from batch.pair_files import Indices, PairFile
from batch.refresh import refreshed_users
from batch.rows import AudienceRows, Exported, Histories
from ncf.columns import Columns
from ncf.data.id_files import find, read_ids
from ncf.data.naming import Naming, ReadAs
from ncf.errors import UsageError
from ncf.policies import ColdUser, Policy, Strangers
from ncf.scoring.bundle import Bundle
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.fold_in import FoldIn
from ncf.scoring.ranker import UserRows

logger = logging.getLogger(__name__)

_WHOM = "give ids that the ratings file had, or leave `users` out"


@dataclass(frozen=True)
class Audience:
    """The users of a batch by position: trained ones by ascending index, then strangers.

    A stranger is a user of the bundle who has no training pair (the model would give them noise),
    or one whom it does not know; the indices of the latter follow those of the bundle. First come
    the strangers who are folded in, then those who get the popular items, each by ascending index.

    Parameters
    ----------
    bundle : Bundle
        The exported model.
    chosen : int64 array of shape (n,), or None
        Indices of the trained users, ascending; None means all of the bundle.
    folded, unranked : int64 arrays
        Indices of the strangers who are folded in, and of the others.
    unknown : sequence of str
        Raw ids of the strangers whom the bundle does not know, by index.
    eligibility : Eligibility
        Says what may be listed; excludes items seen before and after the export.
    rows : UserRows
        Rows by index, of the users who are ranked.
    counts : FileCounts
        Counts of what the files hold, for reports.
    """

    bundle: Bundle
    chosen: Indices | None
    folded: Indices
    unranked: Indices
    unknown: Sequence[str]
    eligibility: Eligibility
    rows: UserRows
    counts: FileCounts

    @property
    def n_trained(self) -> int:
        """Count of trained users."""
        return self.bundle.n_users if self.chosen is None else self.chosen.size

    @property
    def n_ranked(self) -> int:
        """Count of users whom the ranker ranks: trained ones, and strangers folded in."""
        return self.n_trained + self.folded.size

    def __len__(self) -> int:
        """Count of all users."""
        return self.n_ranked + self.unranked.size

    @cached_property
    def popular(self) -> npt.NDArray[np.int32]:
        """Eligible items, most popular first."""
        popular = self.bundle.popular
        return popular[self.eligibility.items[popular]]

    def ranked(self, start: int, stop: int) -> Indices:
        """List the indices of the ranked users at positions from ``start`` to ``stop``."""
        last = min(stop, self.n_trained)
        if self.chosen is None:
            trained = np.arange(start, max(start, last), dtype=np.int64)
        else:
            trained = self.chosen[start:last]
        first, last = (max(end - self.n_trained, 0) for end in (start, stop))
        return np.concatenate([trained, self.folded[first:last]])

    def others(self, start: int, stop: int) -> Indices:
        """List the indices of the users at these positions who get the popular items."""
        return self.unranked[max(start - self.n_ranked, 0) : max(stop - self.n_ranked, 0)]

    def policies(self, start: int, stop: int) -> list[Policy]:
        """List the policies of the users at these positions."""
        edges = np.array([0, self.n_trained, self.n_ranked, len(self)]).clip(start, stop)
        order = (Policy.MODEL, Policy.HISTORY, Policy.POPULAR)
        counts = zip(order, np.diff(edges).tolist(), strict=True)
        return [policy for policy, count in counts for _ in range(count)]

    def raw_ids(self, indices: Indices) -> list[str]:
        """Look up raw ids by index."""
        raw, n_users = self.bundle.users.raw, self.bundle.n_users
        if indices.size and indices[-1] < n_users and indices[-1] - indices[0] + 1 == indices.size:
            return raw[int(indices[0]) : int(indices[-1]) + 1]
        return [raw[i] if i < n_users else self.unknown[i - n_users] for i in indices.tolist()]


def read_audience(bundle: Bundle, filters: Filters) -> Audience:
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
    rows: UserRows = bundle.user_rows
    if fold_in is not None and folded.size + refreshed.size:
        rows = AudienceRows(bundle, fold_in, histories, folded, refreshed)
    sources = [histories.before if strangers.size else bundle.seen, histories.since]
    if filters.exclude_pairs is not None:
        sources.append(_read_pairs(bundle, filters, "exclude_pairs", counts).of_users(unknown))
    eligibility = Eligibility(items, tuple(sources))
    parts = (chosen, folded, unranked, unknown)
    return Audience(bundle, *parts, eligibility, rows, FileCounts(**counts))


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
