"""EASE: the linear model of items on items that has a closed form."""

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import lapack

from ncf.baselines.item_item import WEIGHT
from ncf.errors import ConfigError

Matrix = npt.NDArray[np.floating]

_DOUBLE_UP_TO = 8192  # items; larger matrices are inverted in single precision, for the memory
_ITEMS_AT_ONCE = 1024


def memory_needed(n_items: int) -> int:
    """Bytes at the peak of a training that tries several values: three matrices of items."""
    return 3 * n_items**2 * (8 if n_items <= _DOUBLE_UP_TO else 4)


def item_gram(pairs: sparse.csr_array) -> Matrix:
    """Count the users that each two items have in common, an array of shape ``(items, items)``."""
    n_items = pairs.shape[1]
    precision = np.float64 if n_items <= _DOUBLE_UP_TO else np.float32
    ones = pairs.astype(precision)
    transposed, columns = sparse.csr_array(ones.T), ones.tocsc()
    gram = np.empty((n_items, n_items), precision, order="F")
    for start in range(0, n_items, _ITEMS_AT_ONCE):
        part = slice(start, start + _ITEMS_AT_ONCE)
        gram[:, part] = (transposed @ columns[:, part]).toarray()
    return gram


def ease(gram: Matrix, l2: float) -> dict[str, npt.NDArray[np.float32]]:
    """Fit the weights of items for items, with a diagonal of zero.

    With ``P = (X^T X + l2 I)^-1``, the weights are ``-P_ij / P_jj`` off the diagonal.

    Source: Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019, equation 8.

    Parameters
    ----------
    gram : float array of shape (items, items)
        From :func:`item_gram`; it is not changed.
    l2 : float
        Weight of the squares, above 0.

    Raises
    ------
    ConfigError
        ``l2`` is too small for the precision.

    Examples
    --------
    >>> gram = item_gram(sparse.csr_array(np.array([[1, 1], [1, 0]])))
    >>> ease(gram, 1.0)[WEIGHT].astype(float).round(3).tolist()
    [[0.0, 0.333], [0.5, 0.0]]
    """
    kept = np.array(gram, order="F")
    kept[np.diag_indices_from(kept)] += l2
    double = kept.dtype == np.float64
    factor, invert = (lapack.dpotrf, lapack.dpotri) if double else (lapack.spotrf, lapack.spotri)
    kept, failed = factor(kept, lower=1, clean=0, overwrite_a=1)
    if not failed:
        kept, failed = invert(kept, lower=1, overwrite_c=1)
    if failed:
        raise ConfigError(f"l2 = {l2:g} is too small for these data", remedy="give more")
    _mirror(kept)
    weight = np.asarray(kept, np.float32, order="F")
    weight /= -np.diag(weight).copy()
    weight[np.diag_indices_from(weight)] = 0
    return {WEIGHT: np.ascontiguousarray(weight)}


def _mirror(lower: Matrix) -> None:
    """Copy the lower triangle of a matrix to the upper one, in place."""
    size = len(lower)
    for start in range(0, size, _ITEMS_AT_ONCE):
        part = slice(start, min(start + _ITEMS_AT_ONCE, size))
        lower[part, part.stop :] = lower[part.stop :, part].T
        square = np.tril(lower[part, part])
        lower[part, part] = square + np.tril(square, -1).T
