"""Models that need no training, to see what a trained one is worth."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ncf.data.prepared import PreparedData
from ncf.evaluation.cold import places
from ncf.models.scorer import GroupScorer, Indices

MOST_ITEMS = 20_000
"""Largest catalogue whose similarities are computed: they may take its square."""
_USERS_AT_ONCE = 256


def popularity(data: PreparedData) -> GroupScorer:
    """Score items by how many users took them in training, the same for everybody."""
    found = -places(data)
    return lambda _, items: found[items]


def neighbours(data: PreparedData) -> GroupScorer | None:
    """Score items by their cosine similarity to what a user took, summed.

    None if the catalogue has more than :data:`MOST_ITEMS` items.

    Source: Sarwar et al., "Item-based collaborative filtering recommendation algorithms",
    WWW 2001, with all items as neighbours.
    """
    if len(data.items) > MOST_ITEMS:
        return None
    taken = sparse.csr_array(data.train.csr().astype(np.float32))
    norms = np.sqrt(np.asarray(taken.sum(axis=0), np.float32)).ravel()
    unit = sparse.csr_array(taken / np.maximum(norms, 1))
    similar = sparse.csr_array(unit.T @ unit)
    similar.setdiag(0)

    def score(users: Indices, items: Indices) -> npt.NDArray[np.float32]:
        found = np.empty(items.shape, np.float32)
        for start in range(0, users.size, _USERS_AT_ONCE):
            part = slice(start, start + _USERS_AT_ONCE)
            near = (taken[users[part]] @ similar).toarray()
            found[part] = np.take_along_axis(near, items[part], axis=1)
        return found

    return score
