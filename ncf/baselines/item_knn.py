"""Item-kNN: items are alike that the same users have, and each item knows its nearest alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ncf.baselines.item_item import NEIGHBOUR, WEIGHT, Arrays, Floats, Indices

_ITEMS_AT_ONCE = 256


@dataclass(frozen=True)
class KnnSettings:
    """Settings of item-kNN.

    Parameters
    ----------
    neighbours : int
        Items that each item keeps as neighbours, at least 1.
    shrinkage : float
        Added to the denominator of each similarity, so that few common users count for less.
    asymmetry : float
        Exponent of the neighbour's count in the denominator, in [0, 1]: 0.5 is the cosine; more
        counts popular neighbours for less.
    """

    neighbours: int = 100
    shrinkage: float = 10.0
    asymmetry: float = 0.5


def neighbours(pairs: sparse.csr_array, settings: KnnSettings) -> Arrays:
    """Find each item's nearest items.

    With c(i, j) users who have both items and c(i) who have i, the similarity of a neighbour j to
    i is ``c(i, j) / (c(j)^a c(i)^(1 - a) + shrinkage)``.

    Source: Deshpande and Karypis, "Item-based top-N recommendation algorithms", ACM TOIS 22(1),
    2004; the exponent as in Aiolli, "Efficient top-N recommendation for very large scale binary
    rated datasets", RecSys 2013, section 3.

    Parameters
    ----------
    pairs : csr_array of shape (users, items)
        Ones at the training pairs.
    settings : KnnSettings
        What varies.

    Returns
    -------
    dict
        Similarities, float32 of shape ``(items, k)``, and the neighbours' indices, int32; rows of
        items with fewer neighbours end with similarity 0.

    Examples
    --------
    >>> pairs = sparse.csr_array(np.array([[1, 1, 0], [1, 1, 1]]))
    >>> found = neighbours(pairs, KnnSettings(neighbours=1, shrinkage=0.0))
    >>> found[NEIGHBOUR].ravel().tolist()
    [1, 0, 0]
    """
    ones = pairs.astype(np.float32).tocsc()
    n_items = ones.shape[1]
    width = max(1, min(settings.neighbours, n_items - 1))
    counts = np.bincount(pairs.indices, minlength=n_items).astype(np.float64)
    as_neighbour, as_item = counts**settings.asymmetry, counts ** (1 - settings.asymmetry)
    similar = np.zeros((n_items, width), np.float32)
    nearest = np.zeros((n_items, width), np.int32)
    for item, others, common in _common(ones):
        value = common / (as_neighbour[others] * as_item[item] + settings.shrinkage)
        best = np.argsort(-value, kind="stable")[:width]
        similar[item, : best.size] = value[best]
        nearest[item, : best.size] = others[best]
    return {WEIGHT: similar, NEIGHBOUR: nearest}


def _common(ones: sparse.csc_array) -> Iterator[tuple[int, Indices, Floats]]:
    """Yield each item with the others that it has users in common with, and how many."""
    transposed = sparse.csr_array(ones.T)
    for start in range(0, ones.shape[1], _ITEMS_AT_ONCE):
        block = sparse.csr_array(transposed[start : start + _ITEMS_AT_ONCE] @ ones)
        block.sort_indices()
        for row in range(block.shape[0]):
            entries = slice(block.indptr[row], block.indptr[row + 1])
            others, common = block.indices[entries], block.data[entries]
            elsewhere = others != start + row
            yield start + row, others[elsewhere], common[elsewhere]
