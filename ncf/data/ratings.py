"""Ratings as they were read: raw ids by code, times, and what was left aside on the way."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncf.data.codes import Growing, IdCodes
from ncf.data.options import Format
from ncf.data.parts import Parts
from ncf.errors import RatingsError
from ncf.identifiers import Texts
from ncf.pairs import pair_keys

GIVE_SOME = "give at least one interaction"
RATE_IT = "give each row a finite number, or leave the column out"

Numbers = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reading:
    """How a source of ratings was read.

    Parameters
    ----------
    format : Format
        What the file turned out to be.
    ignored : tuple of str
        Names of columns that were left aside.
    trimmed : int
        Ids that had spaces around them, counted once for each row and column.
    """

    format: Format = Format.CSV
    ignored: tuple[str, ...] = ()
    trimmed: int = 0

    def counts(self) -> dict[str, int]:
        """Count what was changed or left aside; what did not happen is not listed."""
        found = {"ignored_columns": len(self.ignored), "trimmed_ids": self.trimmed}
        return {name: count for name, count in found.items() if count}


@dataclass(frozen=True)
class Ratings:
    """The rows of a source of ratings, in its order.

    Parameters
    ----------
    users, items : pyarrow.DictionaryArray
        Raw ids; int32 codes into distinct strings in order of first appearance.
    timestamps : int64 array of shape (rows,), or None
        Unix time in milliseconds; None where the file has none.
    dropped : int
        Rows left out because the latest rating of their pair, or their own, is under the minimum.
    reading : Reading
        How they were read.
    parts : int8 array of shape (rows,), or None
        Part of a given split that each row is of; None where the split is not given.
    """

    users: pa.DictionaryArray
    items: pa.DictionaryArray
    timestamps: Times | None
    dropped: int
    reading: Reading = field(default_factory=Reading)
    parts: Parts | None = None

    def sha256(self) -> str:
        """Digest of the rows, 64 hex digits, for ratings that come from no file."""
        digest = hashlib.sha256()
        for ids in (self.users, self.items):
            texts = Texts.pack(ids.dictionary.to_pylist())
            for array in (texts.content, texts.ends, ids.indices.to_numpy()):
                digest.update(array.tobytes())
        for numbers in (self.timestamps, self.parts):
            digest.update(b"" if numbers is None else numbers.tobytes())
        return digest.hexdigest()


@dataclass
class Collected:
    """Columns of the blocks that were read so far.

    Parameters
    ----------
    min_rating : float or None
        Pairs whose latest rating is lower are left out.
    """

    min_rating: float | None = None
    users: IdCodes = field(default_factory=IdCodes)
    items: IdCodes = field(default_factory=IdCodes)
    timestamps: Growing[np.int64] | None = None
    parts: list[Parts] = field(default_factory=list)
    reaches: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    rows: int = 0

    def expect(self, rows: int) -> None:
        """Make room for so many rows."""
        self.users.expect(rows)
        self.items.expect(rows)
        self.rows = rows

    def add_values(
        self, timestamps: Times | None, ratings: Numbers | None, parts: Parts | None = None
    ) -> None:
        """Add times, ratings and parts of a block; its ids are added to ``users`` and ``items``."""
        if parts is not None:
            self.parts.append(parts)
        if timestamps is not None:
            if self.timestamps is None:
                self.timestamps = Growing(np.int64)
                self.timestamps.expect(self.rows)
            self.timestamps.extend(timestamps)
        if ratings is not None and self.min_rating is not None:
            self.reaches.append(ratings >= self.min_rating)

    def ratings(
        self, where: Path | None, reading: Reading, *, may_be_empty: bool = False
    ) -> Ratings:
        """Put the blocks together.

        Raises
        ------
        RatingsError
            No row is there, or none is left.
        """
        times = None if self.timestamps is None else self.timestamps.whole()
        self.timestamps = None
        parts = np.concatenate(self.parts) if self.parts else None
        found = Ratings(self.users.whole(), self.items.whole(), times, 0, reading, parts)
        if not len(found.users) and not may_be_empty:
            problem = (
                "the frame has no row" if where is None else "the file has a header and no rows"
            )
            raise RatingsError(problem, where=where, remedy=GIVE_SOME)
        if not self.reaches:
            return found
        kept = of_minimum(found, np.concatenate(self.reaches))
        if not len(kept.users) and not may_be_empty:
            problem = f"none of the {kept.dropped:,} rows reaches `min_rating`"
            raise RatingsError(problem, where=where, remedy="give a lower one")
        return kept


def of_minimum(ratings: Ratings, reaches: npt.NDArray[np.bool_]) -> Ratings:
    """Leave out rows under the minimum rating, and pairs whose latest row is under it.

    The latest rating decides first, then the threshold: a pair rated 5 and later 1 is not liked.
    Which of a pair's rows is the latest, :func:`ncf.data.interactions.latest_by_user` says.

    Parameters
    ----------
    ratings : Ratings
        All rows.
    reaches : bool array of shape (rows,)
        Whether a row's rating is the minimum at least.
    """
    keep = reaches.copy()
    users, items = ratings.users.indices.to_numpy(), ratings.items.indices.to_numpy()
    keys = pair_keys(users, items, len(ratings.items.dictionary))
    both = np.intersect1d(keys[~reaches], keys[reaches])  # pairs that were rated both ways
    if both.size:
        rows = np.flatnonzero(np.isin(keys, both))
        order = (
            [keys[rows]] if ratings.timestamps is None else [ratings.timestamps[rows], keys[rows]]
        )
        rows = rows[np.lexsort(order)]  # stable: of equal times the later row wins
        last = np.append(keys[rows[1:]] != keys[rows[:-1]], [True])
        fell = keys[rows[last & ~reaches[rows]]]
        keep[rows[np.isin(keys[rows], fell)]] = False
    kept = None if ratings.timestamps is None else ratings.timestamps[keep]
    return replace(
        ratings,
        users=in_order(ratings.users, keep),
        items=in_order(ratings.items, keep),
        timestamps=kept,
        parts=None if ratings.parts is None else ratings.parts[keep],
        dropped=int(np.count_nonzero(~keep)),
    )


def in_order(
    ids: pa.DictionaryArray, keep: npt.NDArray[np.bool_] | None = None
) -> pa.DictionaryArray:
    """Keep some rows or all, and of the texts those that they name, by first appearance.

    Examples
    --------
    >>> ids = pa.DictionaryArray.from_arrays([2, 0, 2], ["a", "unused", "b"])
    >>> in_order(ids).dictionary.to_pylist()
    ['b', 'a']
    """
    codes = ids.indices.to_numpy()
    codes = codes if keep is None else codes[keep]
    first = np.full(len(ids.dictionary), codes.size, np.int64)
    first[codes[::-1]] = np.arange(codes.size)[
        ::-1
    ]  # of several writes to one place the last holds
    used = np.flatnonzero(first < codes.size)
    used = used[np.argsort(first[used])]
    renamed = np.empty(first.size, np.int32)
    renamed[used] = np.arange(used.size, dtype=np.int32)
    texts = ids.dictionary.take(pa.array(used))
    return pa.DictionaryArray.from_arrays(pa.array(renamed[codes]), texts)
