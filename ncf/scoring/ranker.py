"""The protocol of all rankers: users in, their best items out."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ncf.devices import Device
from ncf.errors import UsageError

Users = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.int64]


class UserRows(Protocol):
    """Rows by user index, as the top-K graphs take them: an array, or made when asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Count of users, and width of a row."""

    def __len__(self) -> int:
        """Count of users."""

    def __getitem__(self, users: Users, /) -> npt.NDArray[np.float32]:
        """Get the rows of some users."""


@dataclass(frozen=True)
class TopK:
    """Top-K lists of some users.

    Parameters
    ----------
    items : int64 array of shape (n, width)
        Item indices, best first; ``width`` is K, or the catalogue's size where K is larger.
    scores : float32 array of shape (n, width)
        Logits, descending; ties are ordered by ascending index. Minus infinity marks entries
        that do not count, where a user has no further item to get.

    Examples
    --------
    >>> found = TopK(np.array([[3, 1]]), np.array([[0.5, -np.inf]], np.float32))
    >>> found.items[found.valid()].tolist()
    [3]
    """

    items: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]

    def valid(self) -> npt.NDArray[np.bool_]:
        """Find which entries count, bool of shape ``(n, width)``; they come first in a row."""
        valid: npt.NDArray[np.bool_] = np.isfinite(self.scores)
        return valid


class Ranker(Protocol):
    """Gives users their top-K lists; see :mod:`ncf.scoring.exact` and ``ncf.scoring.screened``."""

    @property
    def device(self) -> Device:
        """Device that computes."""

    def rank(
        self,
        users: Users,
        k: int,
        pool: Executor | None = None,
        started: Callable[[int], None] | None = None,
    ) -> TopK:
        """Rank the items that each user may get.

        Parameters
        ----------
        users : int64 array of shape (n,)
            User indices; repeats are allowed.
        k : int
            Length of the lists, at least 1.
        pool : Executor, optional
            Threads that rank blocks of users side by side. With sessions of one thread this is
            faster than one session of many threads, whose operators are too small to split.
        started : callable, optional
            Called with the count of users of each block before it is ranked; an exception that
            it raises ends the ranking.

        Raises
        ------
        IndexError
            A user index is out of range.
        ArtifactError
            A score is NaN.
        CapabilityError
            The GPU has too little memory for one user, or was lost.
        """

    def rank_rows(self, rows: npt.NDArray[np.float32], excluded: Pairs, k: int) -> TopK:
        """Rank for given rows, in one call of the graph.

        Parameters
        ----------
        rows : float32 array of shape (n, d)
            Rows as the graph takes them, trained or folded in.
        excluded : int64 array of shape (m, 2)
            Position in ``rows`` and item index; repeats are allowed.
        k : int
            Length of the lists, at least 1.

        Raises
        ------
        CapabilityError
            The GPU has too little memory for so many users, or was lost.
        """

    def users_at_once(self, k: int) -> int:
        """Count the users of one call for lists of K, by the memory that their logits take."""

    def rank_excluding(self, users: Users, excluded: Pairs, k: int) -> TopK:
        """Rank all eligible items except given ones, in one call of the graph.

        Parameters
        ----------
        users : int64 array of shape (n,)
            User indices.
        excluded : int64 array of shape (m, 2)
            Position in ``users`` and item index; repeats are allowed. It replaces what users
            have seen.
        k : int
            Length of the lists, at least 1.

        Raises
        ------
        CapabilityError
            The GPU has too little memory for so many users, or was lost.
        """


def check_k(k: int) -> None:
    """Refuse a list shorter than one.

    Raises
    ------
    UsageError
        ``k`` is less than 1.
    """
    if k < 1:
        raise UsageError(f"k = {k} is less than 1", remedy="ask for at least one item")
