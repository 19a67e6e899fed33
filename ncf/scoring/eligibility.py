"""Say which items each user may get, in one object for rankers, audits and tables."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ncf.scoring.ranker import Pairs, Users


class UserItems(Protocol):
    """Items of each user, such as those that users have seen."""

    def pairs(self, users: Users) -> Pairs:
        """List position in ``users`` and item, int64 of shape ``(m, 2)``; repeats are allowed."""


@dataclass(frozen=True)
class Eligibility:
    """The items that may be listed at all, and for each user the items that are excluded too.

    Parameters
    ----------
    items : bool array of shape (items,)
        Whether an item may be listed at all.
    seen : tuple of UserItems
        Sources of the items that users have seen; a user's own are excluded.

    Examples
    --------
    >>> from ncf.scoring.seen import Seen
    >>> seen = Seen.of_pairs(np.array([0, 0, 1]), np.array([0, 2, 1]), (2, 4))
    >>> eligibility = Eligibility(np.array([True, True, True, False]), (seen,))
    >>> eligibility.count()
    3
    >>> eligibility.mask().tolist()
    [0.0, 0.0, 0.0, -inf]
    >>> eligibility.excluded(np.array([0])).tolist()
    [[0, 0], [0, 2]]
    """

    items: npt.NDArray[np.bool_]
    seen: tuple[UserItems, ...]

    @classmethod
    def whole_catalogue(cls, n_items: int, *seen: UserItems) -> "Eligibility":
        """Make every item eligible, and exclude what each user has seen."""
        return cls(np.ones(n_items, np.bool_), seen)

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return self.items.size

    def count(self) -> int:
        """Count of items that may be listed."""
        return int(np.count_nonzero(self.items))

    def mask(self) -> npt.NDArray[np.float32]:
        """Make a mask over items: zero for an eligible item, minus infinity for any other."""
        return np.where(self.items, 0, -np.inf).astype(np.float32)

    def excluded(self, users: Users) -> Pairs:
        """List position in ``users`` and item of what each has seen, int64 of shape ``(m, 2)``."""
        if len(self.seen) == 1:
            return self.seen[0].pairs(users)
        pairs = [np.empty((0, 2), np.int64), *(each.pairs(users) for each in self.seen)]
        return np.concatenate(pairs)
