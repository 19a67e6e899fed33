"""What every way to rank offers: users in, their best items out."""

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


@dataclass(frozen=True)
class TopK:
    """Ranked items of some users.

    Parameters
    ----------
    items : int64 array of shape (n, width)
        Item indices from the best; ``width`` is K, or the catalogue's size where K is larger.
    scores : float32 array of shape (n, width)
        Logits, descending; ties stand by ascending index. Minus infinity where a user has no
        further item to get; those entries do not count.
    """

    items: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]

    def valid(self) -> npt.NDArray[np.bool_]:
        """Tell which entries count, bool of shape ``(n, width)``; they stand first in a row."""
        valid: npt.NDArray[np.bool_] = np.isfinite(self.scores)
        return valid


class Ranker(Protocol):
    """Ranks users over the whole catalogue; see :mod:`ncf.scoring.exact` and ``screened``."""

    @property
    def device(self) -> Device:
        """Where it computes."""

    def rank(
        self,
        users: Users,
        k: int,
        pool: Executor | None = None,
        started: Callable[[int], None] | None = None,
    ) -> TopK:
        """Top-K of each user, of the items that the user may get.

        Parameters
        ----------
        users : int64 array of shape (n,)
            User indices; repeats are allowed.
        k : int
            At least 1.
        pool : Executor, optional
            Threads that rank blocks of users side by side. With sessions of one thread this beats
            one session of many threads, whose operators are too small to share out.
        started : callable, optional
            Told the count of users of each block before it is ranked; what it raises ends the
            ranking.

        Raises
        ------
        IndexError
            A user index is out of range.
        ArtifactError
            A score is NaN.
        CapabilityError
            The GPU has no memory for one user, or was lost.
        """

    def rank_excluding(self, users: Users, excluded: Pairs, k: int) -> TopK:
        """Top-K of each user but for given items, in one call of the graph.

        Parameters
        ----------
        users : int64 array of shape (n,)
            User indices.
        excluded : int64 array of shape (m, 2)
            Position in ``users`` and item index; repeats are allowed. It stands in the place of
            what users have seen.
        k : int
            At least 1.

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
