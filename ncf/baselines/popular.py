"""Rank all users' items by popularity alone."""

import numpy as np
import numpy.typing as npt
from scipy import sparse


def popularity(pairs: sparse.csr_array) -> npt.NDArray[np.float32]:
    """Compute the share of users who have each item, float32 of shape ``(items,)``, in [0, 1].

    Examples
    --------
    >>> popularity(sparse.csr_array(np.array([[1, 0], [1, 1]]))).tolist()
    [1.0, 0.5]
    """
    counts = np.bincount(pairs.indices, minlength=pairs.shape[1])
    return (counts / max(1, pairs.shape[0])).astype(np.float32)
