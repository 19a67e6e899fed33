"""Keep the items that each user has interacted with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ncf.arrays import map_npz
from ncf.pairs import distinct, pair_keys, split_keys

_AT_ONCE = 1 << 20  # entries checked in one go


@dataclass(frozen=True)
class Seen:
    """The items that users have seen, in compressed rows as in SciPy's CSR.

    Parameters
    ----------
    starts : int array of shape (n_users + 1,)
        Position in ``items`` where each user's items start, and the end.
    items : int array of shape (pairs,)
        Item indices, ascending within a user.
    n_items : int
        Size of the catalogue.

    Examples
    --------
    >>> seen = Seen.of_pairs(np.array([1, 0, 1]), np.array([2, 1, 0]), (2, 3))
    >>> seen.of(1).tolist()
    [0, 2]
    >>> seen.counts(np.array([0, 1])).tolist()
    [1, 2]
    """

    starts: npt.NDArray[np.integer]
    items: npt.NDArray[np.integer]
    n_items: int

    @property
    def shape(self) -> tuple[int, int]:
        """Count of users and of items."""
        return self.starts.size - 1, self.n_items

    @classmethod
    def read(cls, path: Path) -> "Seen":
        """Memory-map a file that ``scipy.sparse.save_npz`` wrote; SciPy is not needed."""
        arrays = map_npz(path)
        return cls(arrays["indptr"], arrays["indices"], int(arrays["shape"][1]))

    @classmethod
    def of_pairs(
        cls, rows: npt.NDArray[np.integer], items: npt.NDArray[np.integer], shape: tuple[int, int]
    ) -> "Seen":
        """Collect pairs into rows; the pairs may be in any order and may repeat."""
        n_users, n_items = shape
        keys = distinct(pair_keys(rows, items, n_items))
        owners, columns = split_keys(keys, n_items)
        return cls(np.searchsorted(owners, np.arange(n_users + 1)), columns, n_items)

    def within_bounds(self) -> bool:
        """Check that starts ascend over all items, and that every item is in the catalogue."""
        arrays = (self.starts, self.items)
        if not all(array.ndim == 1 and array.dtype.kind == "i" for array in arrays):
            return False
        if self.starts[0] != 0 or self.starts[-1] != self.items.size:
            return False
        for start in range(0, max(self.items.size, self.starts.size), _AT_ONCE):
            rows = self.starts[start : start + _AT_ONCE + 1]
            items = self.items[start : start + _AT_ONCE]
            if (rows[1:] < rows[:-1]).any() or (items < 0).any() or (items >= self.n_items).any():
                return False
        return True

    def of(self, user: int) -> npt.NDArray[np.int64]:
        """List the item indices of one user, ascending."""
        return self.items[self.starts[user] : self.starts[user + 1]].astype(np.int64)

    def counts(self, users: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Count each user's items, int64 of shape ``(n,)``."""
        return (self.starts[users + 1] - self.starts[users]).astype(np.int64)

    def pairs(self, users: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """List position in ``users`` and item of every seen item, int64, ``(pairs, 2)``."""
        counts = self.counts(users)
        positions = np.repeat(np.arange(users.size, dtype=np.int64), counts)
        within = np.arange(positions.size) - np.repeat(np.cumsum(counts) - counts, counts)
        items = self.items[self.starts[users][positions] + within]
        return np.stack([positions, items.astype(np.int64)], axis=1)


@dataclass(frozen=True)
class Fresh:
    """Interactions since the export, for some of the users.

    Parameters
    ----------
    users : int64 array of shape (n,)
        User indices, ascending and distinct.
    seen : Seen
        Items of each of these users.
    """

    users: npt.NDArray[np.int64]
    seen: Seen

    @classmethod
    def of_pairs(
        cls, users: npt.NDArray[np.int64], items: npt.NDArray[np.int64], n_items: int
    ) -> "Fresh":
        """Collect pairs, which may be in any order and may repeat."""
        few, rows = np.unique(users, return_inverse=True)
        return cls(few, Seen.of_pairs(rows, items, (few.size, n_items)))

    def pairs(self, users: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """List position in ``users`` and item of every interaction, int64, ``(pairs, 2)``."""
        rows = np.searchsorted(self.users, users)
        rows[rows == self.users.size] = 0
        (positions,) = np.nonzero(self.users[rows] == users) if self.users.size else ([],)
        positions = np.asarray(positions, np.int64)
        pairs = self.seen.pairs(rows[positions])
        return np.stack([positions[pairs[:, 0]], pairs[:, 1]], axis=1)
