"""Peers that need no user vectors: item cosine and EASE."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

_LAMBDA = 250.0  # of EASE, as its paper's figure 2 has it for MovieLens


def item_cosine(history: sparse.csr_array) -> npt.NDArray[np.float32]:
    """Compute the cosine of items' columns of users, without an item's own.

    Parameters
    ----------
    history : sparse array of shape (users, items)
        Training pairs.
    """
    together = (history.T @ history).toarray()
    length = np.sqrt(np.maximum(together.diagonal(), 1))
    found: npt.NDArray[np.float32] = (together / length / length[:, None]).astype(np.float32)
    np.fill_diagonal(found, 0)
    return found


def ease(history: sparse.csr_array) -> npt.NDArray[np.float32]:
    """Solve EASE.

    Source: Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019, eq. 8.
    """
    gram = (history.T @ history).toarray().astype(np.float64)
    gram[np.diag_indices(len(gram))] += _LAMBDA
    inverse = np.linalg.inv(gram)
    found = inverse / -np.diag(inverse)
    np.fill_diagonal(found, 0)
    weights: npt.NDArray[np.float32] = found.astype(np.float32)
    return weights
