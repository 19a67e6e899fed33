"""Make users' top-K lists in blocks, and compute figures of each list from its relevant items."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ncf.pairs import among, pair_keys
from ncf.progress import report

Users = npt.NDArray[np.int64]
Lists = npt.NDArray[np.int64]
Rank = Callable[[Users, int], Lists]
"""A function of users, int64 ``(n,)``, and K; gives items, int64 ``(n, width)``, best first.

No row has an item twice; -1 pads rows of users with fewer candidates; ``width`` is at most K.
"""

_USERS_AT_ONCE = 4096
_ENTRIES_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Block:
    """Lists of some of the users.

    Parameters
    ----------
    part : slice
        Positions of the users among all.
    lists : tuple of int64 arrays of shape (n, width)
        Lists from each ranker.
    """

    part: slice
    lists: tuple[Lists, ...]


def stream(ranks: tuple[Rank, ...], users: Users, k: int) -> Iterator[Block]:
    """Rank all users with every ranker, block by block, and show the progress.

    Parameters
    ----------
    ranks : tuple of Rank
        One for each model.
    users : int64 array of shape (n,)
        User indices.
    k : int
        Length of the lists. It also sets the size of blocks, so that memory is bounded.
    """
    step = max(1, min(_USERS_AT_ONCE, _ENTRIES_AT_ONCE // k))
    with report("rank users", users.size) as progress:
        for start in range(0, users.size, step):
            part = slice(start, min(start + step, users.size))
            block = users[part]
            yield Block(part, tuple(rank(block, k) for rank in ranks))
            progress.advance(block.size)


def hits(lists: Lists, relevant: sparse.csr_array) -> npt.NDArray[np.bool_]:
    """Find which entries are relevant to their user, bool of shape ``(n, width)``.

    Parameters
    ----------
    lists : int64 array of shape (n, width)
        Item indices; -1 pads.
    relevant : sparse array of shape (n, items)
        Stored entries are each user's relevant items.

    Examples
    --------
    >>> relevant = sparse.csr_array([[0, 1, 0], [1, 0, 0]])
    >>> hits(np.array([[2, 1], [0, -1]]), relevant).tolist()
    [[False, True], [True, False]]
    """
    pairs = relevant.tocoo()
    n_items = relevant.shape[1]
    wanted = np.sort(pair_keys(pairs.row, pairs.col, n_items))
    listed = pair_keys(np.arange(lists.shape[0])[:, None], lists, n_items)
    return among(listed, wanted) & (lists >= 0)


def worth(
    hit: npt.NDArray[np.bool_], relevant: npt.NDArray[np.int64], k: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Compute the figures of each user's list of K.

    Let h(r) be 1 where the item at rank r is relevant, else 0, and n a user's relevant items:

    - ``hr`` = 1 where any h(r) is 1, else 0
    - ``ndcg`` = sum of h(r) / log2(r + 1), divided by that of the best list: min(K, n) hits first
    - ``recall`` = sum of h(r) / n
    - ``mrr`` = 1 / r of the first hit, 0 where there is none
    - ``precision`` = sum of h(r) / K, even where the list is shorter than K
    - ``map`` = sum of h(r) P(r) / min(K, n), where P(r) is the share of hits among the first r
    - ``r_precision`` = sum of h(r) over the first R = min(K, n) ranks / R

    Source: Jarvelin and Kekalainen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS
    20(4), 2002, with binary gains; Manning, Raghavan and Schuetze, "Introduction to information
    retrieval", 2008, chapter 8, for the others.

    Parameters
    ----------
    hit : bool array of shape (n, width)
        The values h(r), best first; ``width`` may be less than K.
    relevant : int64 array of shape (n,)
        Count of each user's relevant items, at least 1.
    k : int
        Length of the lists, at least 1.

    Returns
    -------
    dict
        Float64 arrays of shape ``(n,)``, in [0, 1].

    Examples
    --------
    >>> found = worth(np.array([[False, True]]), np.array([2]), 2)
    >>> {name: round(float(values[0]), 3) for name, values in found.items()}
    {'hr': 1.0, 'ndcg': 0.387, 'recall': 0.5, 'mrr': 0.5, 'precision': 0.5, 'map': 0.25, \
'r_precision': 0.5}
    """
    discounts, ideal = _discounts((hit := hit[:, :k]).shape[1], relevant, k)
    any_hit = (count := hit.sum(axis=1).astype(np.float64)) > 0
    return {
        "hr": any_hit.astype(np.float64),
        "ndcg": hit @ discounts / ideal,
        "recall": count / relevant,
        "mrr": np.where(any_hit, 1 / (1 + hit.argmax(axis=1)), 0.0),
        "precision": count / k,
        **_precisions(hit, np.minimum(relevant, min(k, int(relevant.max(initial=1))))),
    }


def _precisions(
    hit: npt.NDArray[np.bool_], most: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[np.float64]]:
    """Compute MAP and R-precision of lists that may have so many hits."""
    ranks = np.arange(1, hit.shape[1] + 1)
    precisions = hit.cumsum(axis=1) / ranks
    first = hit & (ranks <= most[:, None])
    return {
        "map": np.where(hit, precisions, 0.0).sum(axis=1) / most,
        "r_precision": first.sum(axis=1) / most,
    }


def _discounts(
    width: int, relevant: npt.NDArray[np.int64], k: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Discount of each rank, and the sum of them that each user's best list has."""
    most = max(width, int(relevant.max(initial=1)))
    best = np.minimum(relevant, min(k, most))  # K may be too large for an int64
    discounts = 1 / np.log2(np.arange(2, most + 2))
    return discounts[:width], np.cumsum(discounts)[best - 1]
