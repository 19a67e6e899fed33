"""Measure how much the lists of models overlap."""

import numpy as np
import numpy.typing as npt

from ncf.evaluation.lists import Lists
from ncf.pairs import pair_keys

Floats = npt.NDArray[np.float64]


class Overlap:
    """Averages over users how much every two models' lists overlap.

    Parameters
    ----------
    models : int
        Number of models.
    """

    def __init__(self, models: int) -> None:
        self._users = 0
        self._common = np.zeros((models, models))
        self._average = np.zeros((models, models))

    def add(self, lists: tuple[Lists, ...]) -> None:
        """Add some users' lists, int64 of shape ``(n, width)``, one array for each model."""
        self._users += lists[0].shape[0]
        for one in range(len(lists)):
            for other in range(one, len(lists)):
                common, average = shared(lists[one], lists[other])
                for matrix, values in ((self._common, common), (self._average, average)):
                    matrix[one, other] += values.sum()
                    matrix[other, one] = matrix[one, other]

    def common(self) -> list[list[float]]:
        """Give the mean share of common items, in [0, 1], models by models."""
        means: list[list[float]] = (self._common / max(1, self._users)).tolist()
        return means

    def average(self) -> list[list[float]]:
        """Give the mean of the average overlap, in [0, 1], models by models."""
        means: list[list[float]] = (self._average / max(1, self._users)).tolist()
        return means


def shared(one: Lists, other: Lists) -> tuple[Floats, Floats]:
    """Measure how much each user's two lists overlap.

    Let c(d) be the count of items that are among the first d of both lists, and K their length.
    The share of common items is c(K) / K. The average overlap is the mean of c(d) / d over d from
    1 to K; in it the order counts, and the top counts most.

    Source: Fagin, Kumar and Sivakumar, "Comparing top k lists", SIAM J. Discrete Mathematics
    17(1), 2003 (intersection metric); Webber, Moffat and Zobel, "A similarity measure for
    indefinite rankings", ACM TOIS 28(4), 2010, who call it average overlap.

    Parameters
    ----------
    one, other : int64 array of shape (n, width)
        Item indices, distinct within a row; -1 pads, at the same positions in both.

    Returns
    -------
    common, average : float64 arrays of shape (n,)
        In [0, 1]; 0 for an empty list.

    Examples
    --------
    >>> common, average = shared(np.array([[1, 2]]), np.array([[2, 1]]))
    >>> common.tolist(), average.tolist()
    ([1.0], [0.5])
    """
    users, width = one.shape
    depths = np.arange(1, width + 1)
    valid = one >= 0
    # The depth from which each item of the one list is in both.
    found = np.maximum(np.arange(width), _places(one, other))
    rows, columns = np.nonzero(valid & (found < width))
    cells = pair_keys(rows, found[rows, columns], width)
    first = np.bincount(cells, minlength=users * width)
    count = first.reshape(users, width).cumsum(axis=1)
    length = np.maximum(valid.sum(axis=1), 1)
    average = np.where(valid, count / depths, 0.0).sum(axis=1) / length
    return count[:, -1] / length, average


def _places(one: Lists, other: Lists) -> npt.NDArray[np.int64]:
    """Find the place of each entry of the one in the other's row, from 0; ``width`` if missing."""
    users, width = one.shape
    items = int(max(one.max(initial=0), other.max(initial=0))) + 2  # one more for the pads
    rows = np.arange(users)[:, None]
    keys = pair_keys(rows, other + 1, items).ravel()
    order = np.argsort(keys, kind="stable")
    wanted = pair_keys(rows, one + 1, items)
    at = np.minimum(np.searchsorted(keys, wanted, sorter=order), keys.size - 1)
    places: npt.NDArray[np.int64] = np.where(keys[order[at]] == wanted, order[at] % width, width)
    return places
