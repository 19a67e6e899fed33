"""Fit the linear map from a history to a user's row, and its mirror image for items.

The map is a ridge regression in double precision, over trained users: from the history that the
weights were trained on to the user's row. Four random parts of each history are fitted to the
same row. Without these, the map is of no use for short histories: it has seen none.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from ncf.graphs.fold_in import TAIL, Doubles, features
from ncf.graphs.tower import Floats

PARTS = 4
MOST_FITTED = 20_000
_EMPTY = 0.02  # share of the parts that are left empty
_RIDGE, _RIDGE_OF_TAIL = 1e-3, 1e-6  # shares of the diagonal
_AT_ONCE = 4096


@dataclass(frozen=True)
class Normal:
    """The normal equations of a regression; those of several groups of users can be added.

    Parameters
    ----------
    gram : float64 array of shape (columns, columns)
        ``X' X``.
    moment : float64 array of shape (columns, d)
        ``X' Y``.
    low, high : float64 arrays of shape (d,)
        Least and greatest target of each column.
    """

    gram: Doubles
    moment: Doubles
    low: Doubles
    high: Doubles

    def __add__(self, other: "Normal") -> "Normal":
        ends = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return Normal(self.gram + other.gram, self.moment + other.moment, *ends)

    def __sub__(self, other: "Normal") -> "Normal":
        """Take a part of the equations away; what is constant in the whole is so in the rest."""
        gram, moment = self.gram - other.gram, self.moment - other.moment
        return Normal(gram, moment, self.low, self.high)

    def solve(self) -> Doubles:
        """Solve the ridge regression, whose penalty is a share of the diagonal.

        A column of targets that are all the same is given exactly: training by blocks holds the
        users' side of an item's bias at 1.
        """
        # Columns are scaled to one size: their sizes differ by so much that the solution would
        # lose most of its digits. A column of zeros stays, and gets no weight.
        size = np.sqrt(self.gram.diagonal())
        size[size == 0] = 1
        ridge = np.full(size.size, _RIDGE)
        ridge[-TAIL:] = _RIDGE_OF_TAIL
        alike = self.gram / size / size[:, None] + np.diag(ridge)
        scaled = linalg.solve(alike, self.moment / size[:, None], assume_a="pos")
        solved: Doubles = scaled / size[:, None]
        constant = self.low == self.high
        solved[:, constant] = 0
        solved[-1, constant] = self.low[constant]
        return solved


def normal_equations(
    vectors: Floats, rows: Floats, history: sparse.csr_array, rng: np.random.Generator
) -> Normal:
    """Collect the equations of some users: whole histories, and random parts of them.

    Parameters
    ----------
    vectors : float32 array of shape (items, v)
        Vectors of the items.
    rows : float32 array of shape (n, d)
        Rows of the users.
    history : scipy.sparse.csr_array of shape (n, items)
        Stored entries are the interactions that the rows were trained on.
    rng : Generator
        Draws the parts.
    """
    columns = 3 * vectors.shape[1] + TAIL
    width = rows.shape[1]
    ends = np.full(width, np.inf), np.full(width, -np.inf)
    found = Normal(np.zeros((columns, columns)), np.zeros((columns, width)), *ends)
    wide = vectors.astype(np.float64)
    for start in range(0, len(rows), _AT_ONCE):
        at = slice(start, start + _AT_ONCE)
        whole, targets = sparse.csr_array(history[at]), rows[at].astype(np.float64)
        for part in _parts(whole, rng):
            x = features(part @ wide, np.diff(part.indptr))
            ends = targets.min(axis=0), targets.max(axis=0)
            found += Normal(x.T @ x, x.T @ targets, *ends)
    return found


def _parts(whole: sparse.csr_array, rng: np.random.Generator) -> Iterator[sparse.csr_array]:
    yield whole.astype(np.float64)
    for _ in range(PARTS):
        counts = np.diff(whole.indptr)
        sizes = np.exp(rng.random(counts.size) * np.log1p(counts)).astype(np.int64)
        sizes[rng.random(counts.size) < _EMPTY] = 0
        yield shortened(whole, np.minimum(sizes, counts), rng)


def shortened(
    history: sparse.csr_array, sizes: npt.NDArray[np.int64], rng: np.random.Generator
) -> sparse.csr_array:
    """Keep a random part of each history, of a given size or as long as it is; float64 ones."""
    counts = np.diff(history.indptr)
    owners = np.repeat(np.arange(counts.size), counts)
    order = np.lexsort([rng.random(owners.size), owners])
    place = np.arange(owners.size) - np.repeat(history.indptr[:-1], counts)
    kept = np.sort(order[place < sizes[owners]])
    starts = np.append(0, np.cumsum(np.minimum(sizes, counts)))
    return sparse.csr_array(
        (np.ones(kept.size), history.indices[kept], starts), shape=history.shape
    )
