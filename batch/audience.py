"""Tonight's audience: who gets a list, what each must not get, and which items may go out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncf.columns import Columns
from ncf.data.id_files import read_ids, read_pairs
from ncf.errors import UsageError
from ncf.identifiers import IdMap
from ncf.policies import ColdUser, Strangers
from ncf.scoring.bundle import Bundle
from ncf.scoring.seen import Fresh, Seen

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Filters:
    """Files that shape the table; each may be left out.

    Parameters
    ----------
    seen : Path
        Interactions since the export, of known users and of strangers.
    users : Path
        The only users who get a list.
    exclude_items : Path
        Items that nobody gets.
    candidates : Path
        The only items that anybody gets.
    strangers : Strangers
        What users get whom the model does not know; if not given, what the bundle was exported
        with (skipped where it refuses them).
    """

    seen: Path | None = None
    users: Path | None = None
    exclude_items: Path | None = None
    candidates: Path | None = None
    strangers: Strangers | None = None

    def files(self) -> dict[str, Path]:
        """Name the given files by option."""
        every = {
            "seen": self.seen,
            "users": self.users,
            "exclude_items": self.exclude_items,
            "candidates": self.candidates,
        }
        return {name: path for name, path in every.items() if path is not None}


@dataclass(frozen=True)
class Audience:
    """Users by position: those the model knows by ascending index, then strangers.

    Parameters
    ----------
    bundle : Bundle
        What the model knows.
    chosen : int64 array of shape (n,), or None
        User indices, ascending; None is everyone.
    strangers : sequence of str
        Raw ids of users whom the model does not know.
    fresh : Fresh
        Interactions since the export, by user index.
    strangers_seen : Seen
        Interactions of the strangers, by their position among them.
    allowed : bool array of shape (items,)
        Items that may be listed.
    counts : dict
        What the files held, for reports.
    """

    bundle: Bundle
    chosen: Indices | None
    strangers: Sequence[str]
    fresh: Fresh
    strangers_seen: Seen
    allowed: npt.NDArray[np.bool_]
    counts: dict[str, int]

    @property
    def n_known(self) -> int:
        """Count of users whom the model knows."""
        return self.bundle.n_users if self.chosen is None else self.chosen.size

    def __len__(self) -> int:
        """Count of all users."""
        return self.n_known + len(self.strangers)

    def known(self, start: int, stop: int) -> Indices:
        """User indices at the positions from ``start`` to ``stop``, but for strangers."""
        stop = min(stop, self.n_known)
        if self.chosen is None:
            return np.arange(start, max(start, stop), dtype=np.int64)
        return self.chosen[start:stop]

    def unwanted(self, users: Indices) -> npt.NDArray[np.int64]:
        """Position in ``users`` and item of all they have seen, to this night."""
        return np.concatenate([self.bundle.seen.pairs(users), self.fresh.pairs(users)])


def read_audience(bundle: Bundle, filters: Filters) -> Audience:
    """Read the files and hold them against the bundle.

    Raises
    ------
    RatingsError
        A file cannot be read.
    UsageError
        No user, or no item, is left.
    """
    counts: dict[str, int] = {}
    allowed = _allowed(bundle, filters, counts)
    pairs = _Pairs.read(bundle, filters.seen, counts)
    strange = np.flatnonzero(pairs.known < 0).tolist()
    chosen, unknown = None, [pairs.raw_users[row] for row in strange]
    if filters.users is not None:
        asked = read_ids(filters.users, Columns.USER_ID)
        if not asked:
            raise UsageError("names no user", where=filters.users)
        indices = bundle.users.indices(asked)
        chosen = np.unique(indices[indices >= 0])
        unknown = [asked[row] for row in np.flatnonzero(indices < 0).tolist()]
    counts["unknown_users"] = len(unknown)
    strangers = unknown if _wanted(bundle, filters) is Strangers.POPULAR else []
    if chosen is not None and not chosen.size and not strangers:
        raise UsageError("names nobody whom the model knows", where=filters.users)
    return Audience(
        bundle, chosen, strangers, pairs.fresh(), pairs.of_strangers(strangers), allowed, counts
    )


def _wanted(bundle: Bundle, filters: Filters) -> Strangers:
    if filters.strangers is not None:
        return filters.strangers
    refused = bundle.manifest["cold_user"] == ColdUser.ERROR
    return Strangers.SKIP if refused else Strangers.POPULAR


@dataclass(frozen=True)
class _Pairs:
    """Interactions since the export, those with unknown items left out."""

    raw_users: Sequence[str]  # distinct
    known: Indices  # user index of each of raw_users; -1 for strangers
    users: Indices  # position in raw_users, a pair each
    items: Indices  # item index, a pair each
    n_items: int

    @classmethod
    def read(cls, bundle: Bundle, path: Path | None, counts: dict[str, int]) -> "_Pairs":
        if path is None:
            nothing = np.empty(0, np.int64)
            return cls([], nothing, nothing, nothing, bundle.n_items)
        users, items = read_pairs(path)
        raw_users, raw_items = users.dictionary.to_pylist(), items.dictionary.to_pylist()
        item_of = bundle.items.indices(raw_items)
        found = item_of[_codes(items)]
        counts["seen_rows"] = len(users)
        counts["seen_unknown_items"] = int(np.count_nonzero(item_of < 0))
        rows = found >= 0
        known = bundle.users.indices(raw_users)
        return cls(raw_users, known, _codes(users)[rows], found[rows], bundle.n_items)

    def fresh(self) -> Fresh:
        users = self.known[self.users]
        rows = users >= 0
        return Fresh.of_pairs(users[rows], self.items[rows], self.n_items)

    def of_strangers(self, strangers: Sequence[str]) -> Seen:
        position = IdMap(strangers).indices(self.raw_users)[self.users]
        rows = position >= 0
        return Seen.of_pairs(position[rows], self.items[rows], (len(strangers), self.n_items))


def _codes(ids: pa.DictionaryArray) -> Indices:
    codes: Indices = ids.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _allowed(bundle: Bundle, filters: Filters, counts: dict[str, int]) -> npt.NDArray[np.bool_]:
    allowed = np.full(bundle.n_items, filters.candidates is None)
    for name, value in (("candidates", True), ("exclude_items", False)):
        if (path := filters.files().get(name)) is not None:
            indices = bundle.items.indices(read_ids(path, Columns.ITEM_ID))
            counts[f"{name}_unknown"] = int(np.count_nonzero(indices < 0))
            allowed[indices[indices >= 0]] = value
    if not allowed.any():
        names = " and ".join(f"{path}" for path in filters.files().values())
        raise UsageError("no item of the bundle is left to list", where=names)
    return allowed
