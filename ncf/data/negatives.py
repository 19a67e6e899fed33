"""Draw negatives, which are items that a user has not seen, exactly and for many users at once.

The r-th unseen item of a user is found by binary search, not by drawing and rejecting: with the
seen items s_0 < s_1 < ... of a user, exactly s_j - j unseen items come before s_j, so the r-th
unseen item (from 0) is r plus the count of j with s_j - j <= r. Drawing r uniformly therefore
draws an unseen item uniformly, and costs the same for a user who has seen nearly everything.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from ncf.pairs import pair_keys

_NO_ITEM = -1
_KEYS_AT_ONCE = 1 << 22


class CompressedRows(Protocol):
    """The part of SciPy's CSR that says which entries are stored."""

    @property
    def indptr(self) -> npt.NDArray[np.integer]:
        """Where each row starts in ``indices``, and the end."""

    @property
    def indices(self) -> npt.NDArray[np.integer]:
        """Columns of all entries, row after row."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""


class UnseenItems:
    """Finds and draws items that users have not seen.

    Parameters
    ----------
    seen : CompressedRows of shape (n_users, n_items)
        Such as ``scipy.sparse.csr_array``. The stored entries are the seen items; indices are
        ascending and distinct within a user.

    Examples
    --------
    >>> from scipy import sparse
    >>> unseen = UnseenItems(sparse.csr_array([[1, 0, 1, 0], [0, 0, 0, 1]]))
    >>> unseen.counts.tolist()
    [2, 3]
    >>> unseen.at(np.array([0, 1]), np.array([1, 2])).tolist()
    [3, 2]
    """

    def __init__(self, seen: CompressedRows) -> None:
        n_users, self.n_items = seen.shape
        self.starts = seen.indptr.astype(np.int64)
        seen_counts = np.diff(self.starts)
        self.counts: npt.NDArray[np.int64] = self.n_items - seen_counts
        """Count of unseen items for each user, int64 of shape ``(n_users,)``."""
        # One ascending array for all users: a user's gaps s_j - j, shifted to a range of its own.
        shifts = np.arange(n_users, dtype=np.int64) * (self.n_items + 1)
        self.keys = np.repeat(shifts + self.starts[:-1], seen_counts)
        self.keys += seen.indices
        for start in range(0, self.keys.size, _KEYS_AT_ONCE):
            stop = min(start + _KEYS_AT_ONCE, self.keys.size)
            self.keys[start:stop] -= np.arange(start, stop)

    def at(
        self, users: npt.NDArray[np.integer], ranks: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int32]:
        """Find the unseen item of a rank, from 0, among a user's unseen items in ascending order.

        Parameters
        ----------
        users : int array of shape (n,)
            User indices.
        ranks : int64 array of shape (n,)
            In ``[0, counts[user])``.

        Returns
        -------
        int32 array of shape (n,)
        """
        found = np.searchsorted(self.keys, pair_keys(users, ranks, self.n_items + 1), side="right")
        items: npt.NDArray[np.int32] = (ranks + found - self.starts[users]).astype(np.int32)
        return items

    def draw_distinct(
        self, users: npt.NDArray[np.integer], size: int, rng: np.random.Generator
    ) -> npt.NDArray[np.int32]:
        """Draw up to ``size`` distinct unseen items for each entry of ``users``.

        Source of the method: R. W. Floyd in Bentley and Floyd, "A sample of brilliance",
        Communications of the ACM 30(9), 1987; here for many users at once.

        Returns
        -------
        int32 array of shape (n, size)
            A user with fewer unseen items gets all of them, then -1.
        """
        available = self.counts[users]
        ranks = np.empty((users.size, size), np.int64)
        for column in range(size):
            # Draw from the first (available - size + column + 1) ranks; on a repeat take the last.
            last = np.maximum(available - size + column, 0)
            drawn = rng.integers(0, last + 1)
            repeated = (ranks[:, :column] == drawn[:, None]).any(axis=1)
            ranks[:, column] = np.where(repeated, last, drawn)
        scarce = available < size
        ranks[scarce] = np.arange(size)
        valid = ranks < available[:, None]
        owners = np.broadcast_to(users[:, None], ranks.shape)
        items = np.full(ranks.shape, _NO_ITEM, np.int32)
        items[valid] = self.at(owners[valid], ranks[valid])
        return items
