"""Interactions are pairs of dense user and item indices, checked once when they are made."""

from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ncf.pairs import pair_keys

if TYPE_CHECKING:
    from scipy import sparse

    from ncf.data.ratings import Ratings


@dataclass(frozen=True)
class Interactions:
    """A list of pairs, each of a user and an item.

    Parameters
    ----------
    users, items : int32 arrays of shape (pairs,)
        Indices in ``[0, n_users)`` and ``[0, n_items)``.
    n_users, n_items : int
        Sizes of the id maps; may exceed the largest index present.
    trusted : bool
        Whether the pairs come from checked ones, so that they need no second check.

    Raises
    ------
    ValueError
        Lengths differ or an index is out of range.
    """

    users: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    n_users: int
    n_items: int
    trusted: InitVar[bool] = False

    def __post_init__(self, trusted: bool) -> None:
        """Check shapes and bounds."""
        if trusted:
            return
        if self.users.shape != self.items.shape:
            raise ValueError(f"{self.users.size} users and {self.items.size} items")
        for name, indices, size in (
            ("user", self.users, self.n_users),
            ("item", self.items, self.n_items),
        ):
            if indices.size and not (indices.min() >= 0 and indices.max() < size):
                raise ValueError(f"{name} index outside [0, {size})")

    def __len__(self) -> int:
        """Count of pairs."""
        return self.users.size

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "Interactions":
        """Take some of the pairs, by mask or position."""
        return self._of_checked(self.users[rows], self.items[rows])

    def join(self, *others: "Interactions") -> "Interactions":
        """Put pairs of others over the same id maps after these.

        Raises
        ------
        ValueError
            Another is over id maps of other sizes.
        """
        parts = (self, *others)
        sizes = {(part.n_users, part.n_items) for part in parts}
        if len(sizes) > 1:
            raise ValueError(f"interactions over id maps of different sizes: {sorted(sizes)}")
        users = np.concatenate([part.users for part in parts])
        items = np.concatenate([part.items for part in parts])
        return self._of_checked(users, items)

    def _of_checked(
        self, users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
    ) -> "Interactions":
        return Interactions(users, items, self.n_users, self.n_items, trusted=True)

    def keys(self) -> npt.NDArray[np.int64]:
        """Key of each pair, int64 of shape ``(pairs,)``: see :mod:`ncf.pairs`."""
        return pair_keys(self.users, self.items, self.n_items)

    def csr(self) -> "sparse.csr_array":
        """Make a matrix, users by items, of int8 ones; a user's items ascend and are distinct."""
        from scipy import sparse  # noqa: PLC0415 - where there is no SciPy, the rest still works

        ones = np.ones(len(self), np.int8)
        shape = (self.n_users, self.n_items)
        matrix = sparse.csr_array((ones, (self.users, self.items)), shape=shape)
        matrix.sum_duplicates()
        matrix.data[:] = 1
        return matrix


@dataclass(frozen=True)
class Cases:
    """Cases of an evaluation: one positive item each, and the items that it is ranked against.

    Parameters
    ----------
    positives : Interactions
        One pair a case.
    negatives : int32 array of shape (cases, sampled)
        Item indices; -1 pads the cases of users with fewer unseen items.
    """

    positives: Interactions
    negatives: npt.NDArray[np.int32]

    def at_most(self, count: int) -> "Cases":
        """Take a random part of so many cases, always the same, or all if there are no more."""
        total = len(self.positives)
        if total <= count:
            return self
        return self.take(np.sort(np.random.default_rng(0).permutation(total)[:count]))

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "Cases":
        """Take some of the cases, by mask or position."""
        return Cases(self.positives.take(rows), self.negatives[rows])


def latest_by_user(ratings: "Ratings") -> tuple[Interactions, int]:
    """Order rows by user and time, and keep the latest of duplicate pairs.

    Rows of one user with the same timestamp, or without timestamps, stay in file order.

    Parameters
    ----------
    ratings : Ratings
        Rows as read.

    Returns
    -------
    interactions : Interactions
        Each pair once; users ascending, each user's pairs from the oldest to the latest.
    duplicates : int
        Rows left out.
    """
    users = ratings.users.indices.to_numpy()
    items = ratings.items.indices.to_numpy()
    n_users, n_items = len(ratings.users.dictionary), len(ratings.items.dictionary)
    keys = (users,) if ratings.timestamps is None else (ratings.timestamps, users)
    order = np.lexsort(keys)
    users, items = users[order], items[order]
    del order
    pairs = pair_keys(users, items, n_items)
    by_pair = np.argsort(pairs, kind="stable")
    last = np.ones(pairs.size, np.bool_)
    last[by_pair[:-1]] = pairs[by_pair[1:]] != pairs[by_pair[:-1]]
    kept = Interactions(users[last], items[last], n_users, n_items)
    return kept, int(np.count_nonzero(~last))
