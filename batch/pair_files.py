"""Read files of pairs of users and items: interactions since the export, or pairs not to list."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncf.data.id_files import find, read_pairs
from ncf.data.naming import ReadAs
from ncf.identifiers import IdMap
from ncf.scoring.bundle import Bundle
from ncf.scoring.seen import Fresh

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairFile:
    """The pairs of a file whose items the bundle knows.

    Parameters
    ----------
    known : int64 array of shape (distinct users,)
        Index of each distinct user; -1 for those whom the bundle does not know.
    strange : pyarrow.StringArray
        Raw ids of the latter, in their order.
    users : int64 array of shape (pairs,)
        Position in ``known``.
    items : int64 array of shape (pairs,)
        Item indices.
    rows, rows_of_unknown_items : int
        Counts of all rows, and of those left out.
    bundle : Bundle
        The bundle.
    """

    known: Indices
    strange: pa.StringArray
    users: Indices
    items: Indices
    rows: int
    rows_of_unknown_items: int
    bundle: Bundle

    @classmethod
    def read(cls, bundle: Bundle, path: Path | None, read_as: ReadAs) -> "PairFile":
        """Read a file; None gives no pair.

        Raises
        ------
        RatingsError
            The file cannot be read.
        """
        if path is None:
            nothing = np.empty(0, np.int64)
            return cls(nothing, pa.array([], pa.string()), nothing, nothing, 0, 0, bundle)
        users, items = read_pairs(path, read_as)
        item_of = find(bundle.items, items.dictionary)
        found = item_of[_codes(items)]
        rows = found >= 0
        known = find(bundle.users, users.dictionary)
        strange = users.dictionary.filter(pa.array(known < 0))
        counts = (len(users), int(np.count_nonzero(~rows)))
        return cls(known, strange, _codes(users)[rows], found[rows], *counts, bundle)

    def of_users(self, unknown: Sequence[str]) -> Fresh:
        """Collect the pairs by user index.

        Parameters
        ----------
        unknown : sequence of str
            Raw ids of strangers; their indices follow those of the bundle. Pairs of others whom
            the bundle does not know are left out.
        """
        index = self.known.copy()
        found = find(IdMap(unknown), self.strange)
        index[self.known < 0] = np.where(found < 0, -1, self.bundle.n_users + found)
        users = index[self.users]
        rows = users >= 0
        return Fresh.of_pairs(users[rows], self.items[rows], self.bundle.n_items)


def _codes(ids: pa.DictionaryArray) -> Indices:
    codes: Indices = ids.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes
