"""Features of a history that a row is linear in; without the onnx package, for proofs."""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

BLOCKS = 3
"""Scaled copies of the sum in ``x``."""
TAIL = 3
"""Columns of ``x`` after them: ``l``, ``l^2`` and 1."""


def scales(counts: npt.NDArray[np.integer]) -> Doubles:
    """Compute what scales a sum of ``n`` vectors, and the tail; float64 of shape ``(n, 6)``.

    Examples
    --------
    >>> scales(np.array([0, 4])).round(3).tolist()[1]
    [0.5, 0.25, 0.402, 1.609, 2.59, 1.0]
    """
    m, log = np.maximum(counts, 1).astype(np.float64), np.log1p(counts)
    return np.stack([m**-0.5, 1 / m, log / m, log, log**2, np.ones(len(m))], axis=1)


def features(sums: Doubles, counts: npt.NDArray[np.integer]) -> Doubles:
    """Make ``x`` from the sums of histories' vectors and their counts.

    Parameters
    ----------
    sums : float64 array of shape (n, v)
        Sum of the vectors of each history's distinct items.
    counts : int array of shape (n,)
        Count of these items.

    Returns
    -------
    float64 array of shape (n, 3 v + 3)
        One row for each history.
    """
    by = scales(counts)
    scaled = by[:, :BLOCKS, None] * sums[:, None, :]
    return np.concatenate(
        [scaled.reshape(len(sums), BLOCKS * sums.shape[1]), by[:, BLOCKS:]], axis=1
    )
