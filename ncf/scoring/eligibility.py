"""What each user may be given: one object for rankers, audits and tables."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ncf.scoring.ranker import Pairs, Users


class UserItems(Protocol):
    """Items by user, such as those that users have seen."""

    def pairs(self, users: Users) -> Pairs:
        """Position in ``users`` and item, int64 of shape ``(m, 2)``; repeats are allowed."""


@dataclass(frozen=True)
class Eligibility:
    """The items that may be listed at all, and for each user the items excluded besides.

    Parameters
    ----------
    items : bool array of shape (items,)
        Whether anybody may get an item.
    seen : tuple of UserItems
        Where the items stand that users have seen: each user's are excluded.
    """

    items: npt.NDArray[np.bool_]
    seen: tuple[UserItems, ...]

    @classmethod
    def whole_catalogue(cls, n_items: int, *seen: UserItems) -> "Eligibility":
        """Let every item be listed, but for what each user has seen."""
        return cls(np.ones(n_items, np.bool_), seen)

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return self.items.size

    def count(self) -> int:
        """Count of items that may be listed."""
        return int(np.count_nonzero(self.items))

    def mask(self) -> npt.NDArray[np.float32]:
        """Zero for an item that may be listed and minus infinity for another, one an item."""
        return np.where(self.items, 0, -np.inf).astype(np.float32)

    def excluded(self, users: Users) -> Pairs:
        """Position in ``users`` and item of what each has seen, int64 of shape ``(m, 2)``."""
        if len(self.seen) == 1:
            return self.seen[0].pairs(users)
        pairs = [np.empty((0, 2), np.int64), *(each.pairs(users) for each in self.seen)]
        return np.concatenate(pairs)
