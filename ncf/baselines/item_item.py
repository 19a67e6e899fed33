"""Score items by the items that a user has: one weight for each two items, and no row for a user.

The score of an item i for a user who has the items S in training is the sum over j in S of the
weight of j for i.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

Floats = npt.NDArray[np.float32]
Lists = npt.NDArray[np.int64]
Indices = npt.NDArray[np.integer]
Arrays = Mapping[str, npt.NDArray[Any]]

WEIGHT = "item_item.weight"
NEIGHBOUR = "item_item.neighbour"

_SCORES_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class ItemItem:
    """A model with a weight for each two items.

    Parameters
    ----------
    weights : float32 array or csr_array of shape (items, items)
        Weight of the item that a user has (row) for the item that is scored (column).
    history : csr_array of shape (users, items)
        Ones at the training pairs.
    """

    weights: Floats | sparse.csr_array
    history: sparse.csr_array

    @classmethod
    def of_arrays(cls, arrays: Arrays, pairs: sparse.csr_array) -> "ItemItem":
        """Make the model from the arrays of a checkpoint and the pairs that it was trained on."""
        weight = arrays[WEIGHT]
        history = pairs.astype(np.float32)
        if NEIGHBOUR not in arrays:
            return cls(weight, history)
        n_items, width = weight.shape
        columns = np.repeat(np.arange(n_items), width)
        entries = (weight.ravel(), (arrays[NEIGHBOUR].ravel(), columns))
        found = sparse.csr_array(entries, shape=(n_items, n_items))
        found.eliminate_zeros()  # the padding
        return cls(found, history)

    def scores(self, users: Indices) -> Floats:
        """Score all items for some users, float32 of shape ``(n, items)``."""
        found = self.history[users] @ self.weights
        dense = found.toarray() if sparse.issparse(found) else found
        return np.asarray(dense, np.float32)

    def pair_scores(self, users: Indices, items: Indices) -> Floats:
        """Score each of users ``(n,)`` with its own items ``(n, m)``, float32 of that shape."""
        distinct, rows = np.unique(users, return_inverse=True)
        found = np.empty(items.shape, np.float32)
        for part in self._parts(distinct.size):
            mine = np.flatnonzero((rows >= part.start) & (rows < part.stop))
            scores = self.scores(distinct[part])
            found[mine] = scores[(rows[mine] - part.start)[:, None], items[mine]]
        return found

    def lists(self, seen: sparse.csr_array) -> Callable[[Lists, int], Lists]:
        """Make a function that gives users their lists of K of all items but the seen.

        The function takes user indices, int64 of shape ``(n,)``, and K, and returns int64 of shape
        ``(n, min(K, items))``, best first, ties by ascending index; -1 pads.
        """

        def rank(users: Lists, k: int) -> Lists:
            width = min(k, self.history.shape[1])
            found = np.empty((users.size, width), np.int64)
            for part in self._parts(users.size):
                scores, own = self.scores(users[part]), seen[users[part]].tocoo()
                scores[own.row, own.col] = -np.inf
                found[part] = top_items(scores, width)
            return found

        return rank

    def _parts(self, users: int) -> list[slice]:
        step = max(1, _SCORES_AT_ONCE // max(1, self.history.shape[1]))
        return [slice(start, min(start + step, users)) for start in range(0, users, step)]


def top_items(scores: Floats, k: int) -> Lists:
    """Find each row's K best items, best first, ties by ascending index.

    Parameters
    ----------
    scores : float32 array of shape (n, items)
        Minus infinity marks items that may not be listed.
    k : int
        From 1 to the count of items.

    Returns
    -------
    int64 array of shape (n, k)
        Item indices; -1 pads.

    Examples
    --------
    >>> top_items(np.array([[0.5, 2.0, 0.5, -np.inf]], np.float32), 4).tolist()
    [[1, 0, 2, -1]]
    """
    # NumPy's partition takes some twenty times as long as PyTorch's top-K.
    least = torch.topk(torch.from_numpy(scores), k).values[:, -1:].numpy()
    chosen = scores >= least
    tied = np.flatnonzero(np.count_nonzero(chosen, axis=1) > k)
    if tied.size:  # at the last place: the lowest indices have it
        above, equal = scores[tied] > least[tied], scores[tied] == least[tied]
        free = k - above.sum(axis=1, keepdims=True)
        chosen[tied] = above | (equal & (equal.cumsum(axis=1) <= free))
    items = (np.flatnonzero(chosen) % scores.shape[1]).reshape(len(scores), k)
    values = np.take_along_axis(scores, items, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    best = np.take_along_axis(items, order, axis=1)
    listed: Lists = np.where(np.take_along_axis(values, order, axis=1) == -np.inf, -1, best)
    return listed
