"""Which items each user is known to have interacted with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Seen:
    """Known interactions in compressed rows, as SciPy's CSR has them.

    Parameters
    ----------
    starts : int array of shape (n_users + 1,)
        Where each user's items start in ``items``, and the end.
    items : int array of shape (pairs,)
        Item indices, ascending within a user.
    n_items : int
        Size of the catalogue.
    """

    starts: npt.NDArray[np.integer]
    items: npt.NDArray[np.integer]
    n_items: int

    @property
    def shape(self) -> tuple[int, int]:
        """Users and items."""
        return self.starts.size - 1, self.n_items

    @classmethod
    def read(cls, path: Path) -> "Seen":
        """Read a file that ``scipy.sparse.save_npz`` wrote, without SciPy."""
        with np.load(path, allow_pickle=False) as file:
            return cls(file["indptr"], file["indices"], int(file["shape"][1]))

    def within_bounds(self) -> bool:
        """Whether starts ascend over all items, and every item is one of the catalogue."""
        rows = bool((np.diff(self.starts) >= 0).all()) and self.starts[0] == 0
        items = self.items.size == 0 or bool(
            self.items.min() >= 0 and self.items.max() < self.n_items
        )
        return bool(rows and items and self.starts[-1] == self.items.size)

    def of(self, user: int) -> npt.NDArray[np.int64]:
        """Item indices of one user, ascending."""
        return self.items[self.starts[user] : self.starts[user + 1]].astype(np.int64)

    def counts(self, users: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Count of each user's items, int64 of shape ``(n,)``."""
        return (self.starts[users + 1] - self.starts[users]).astype(np.int64)

    def pairs(self, users: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Position in ``users`` and item of every known interaction, int64, ``(pairs, 2)``."""
        counts = self.counts(users)
        positions = np.repeat(np.arange(users.size, dtype=np.int64), counts)
        within = np.arange(positions.size) - np.repeat(np.cumsum(counts) - counts, counts)
        items = self.items[self.starts[users][positions] + within]
        return np.stack([positions, items.astype(np.int64)], axis=1)
