"""Figures of lists that no test item decides: how alike, popular and surprising their items are."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ncf.data.interactions import Interactions
from ncf.data.prepared import PreparedData
from ncf.evaluation.lists import Lists

Floats = npt.NDArray[np.float64]

_LISTS_AT_ONCE = 128


@dataclass(frozen=True)
class Catalogue:
    """What training says of the items, the same for every model.

    Parameters
    ----------
    share : float64 array of shape (items,)
        Share of all users who have the item in training, in [0, 1].
    vectors : csr_array of shape (items, users)
        Who has the item in training, each row of length 1; zeros for an item without a pair.
    of_history : float64 array of shape (users,)
        Mean share over the items of the user's training pairs; NaN without one.
    """

    share: Floats
    vectors: sparse.csr_array
    of_history: Floats

    @classmethod
    def of(cls, train: Interactions) -> "Catalogue":
        """Count the training pairs."""
        pairs = train.csr()
        counts = np.bincount(pairs.indices, minlength=pairs.shape[1]).astype(np.float64)
        share = counts / max(1, pairs.shape[0])
        vectors = sparse.csr_array(pairs.T.astype(np.float64))
        vectors.data /= np.repeat(np.sqrt(counts), np.diff(vectors.indptr))
        lengths = np.diff(pairs.indptr)
        summed = np.bincount(
            np.repeat(np.arange(lengths.size), lengths), share[pairs.indices], lengths.size
        )
        of_history = np.where(lengths > 0, summed / np.maximum(lengths, 1), np.nan)
        return cls(share, vectors, of_history)

    def popularity(self, lists: Lists) -> Floats:
        """Compute the mean share of users who have a list's items; 0 for an empty list."""
        valid = lists >= 0
        total = np.where(valid, self.share[lists], 0.0).sum(axis=1)
        mean: Floats = total / np.maximum(valid.sum(axis=1), 1)
        return mean

    def similarity(self, lists: Lists) -> Floats:
        """Compute the intra-list similarity: the mean cosine of two items of a list.

        An item's vector says which users have it in training. A list of fewer than two items has
        0, and so has an item without a training pair with every other.

        Source: Ziegler, McNee, Konstan and Lausen, "Improving recommendation lists through topic
        diversification", WWW 2005, section 3.3.

        Parameters
        ----------
        lists : int64 array of shape (n, width)
            Item indices; -1 pads.
        """
        found = np.zeros(len(lists))
        known = np.diff(self.vectors.indptr) > 0
        for start in range(0, len(lists), _LISTS_AT_ONCE):
            part = lists[start : start + _LISTS_AT_ONCE]
            valid = part >= 0
            rows = np.nonzero(valid)[0]
            entries = (np.ones(rows.size), (rows, part[valid]))
            chosen = sparse.csr_array(entries, shape=(len(part), self.vectors.shape[0]))
            summed = sparse.csr_array(chosen @ self.vectors)
            squares = np.asarray(summed.multiply(summed).sum(axis=1), np.float64).ravel()
            alone = (valid & known[part]).sum(axis=1)  # each item's cosine with itself
            count = valid.sum(axis=1)
            couples = np.maximum(count * (count - 1), 1)
            found[start : start + len(part)] = np.where(count > 1, (squares - alone) / couples, 0.0)
        return found


def gini(listed: npt.NDArray[np.integer]) -> float:
    """Compute the Gini coefficient of how often each item is listed, in [0, 1].

    0 where all items are listed equally often, near 1 where few take all places.

    Source: Gini, "Variabilità e mutabilità", 1912; for lists Adomavicius and Kwon, IEEE TKDE
    24(5), 2012.

    Parameters
    ----------
    listed : int array of shape (items,)
        Count of lists that have the item.

    Examples
    --------
    >>> gini(np.array([1, 1, 1, 1])), gini(np.array([0, 0, 0, 4]))
    (0.0, 0.75)
    """
    total, size = int(listed.sum()), listed.size
    if not total:
        return 0.0
    ascending = np.sort(listed).astype(np.float64)
    weights = 2 * np.arange(1, size + 1) - size - 1
    return float((weights * ascending).sum() / (size * total))


def self_information(data: PreparedData) -> Floats:
    """Compute the self-information of each item, in bits, float64 of shape ``(items,)``.

    It is ``-log2(n / users)``, where n is the number of users who have the item in training. An
    item without a training pair counts as if a single user had it; else it would be infinite.

    Source: Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems",
    PNAS 107(10), 2010 (surprisal).
    """
    having = np.bincount(data.train.items, minlength=len(data.items))
    return -np.log2(np.maximum(having, 1) / len(data.users))


def novelty(lists: Lists, information: Floats) -> Floats:
    """Compute the mean self-information of each user's list, in bits; 0 for an empty list.

    Parameters
    ----------
    lists : int64 array of shape (n, width)
        Item indices; -1 pads.
    information : float64 array of shape (items,)
        Self-information of each item, in bits.
    """
    valid = lists >= 0
    total = np.where(valid, information[lists], 0.0).sum(axis=1)
    mean: Floats = total / np.maximum(valid.sum(axis=1), 1)
    return mean
