"""Say how far two computations of a logit may differ, given float32 rounding."""

import numpy as np
import numpy.typing as npt

TOLERANCE = 1e-5  # of logits, absolute: near zero, relative differences mean nothing
_ROUNDING = 32 * 2.0**-23  # times the largest logit: sums in another order differ so much


def tolerance(logits: npt.NDArray[np.float32]) -> float:
    """Compute the largest difference from some logits that rounding explains.

    It is 1e-5, or 32 units in the last place of the largest logit where that is more (for logits
    above 2.6): a float32 sum cannot be more exact than its own rounding.

    Examples
    --------
    >>> tolerance(np.array([0.5, -1.0, -np.inf], np.float32))
    1e-05
    >>> round(tolerance(np.array([100.0], np.float32)), 6)
    0.000381
    """
    finite = logits[np.isfinite(logits)].astype(np.float64)
    return max(TOLERANCE, _ROUNDING * float(np.abs(finite).max(initial=0.0)))


def tolerances(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Apply :func:`tolerance` to each row, so that large logits count for their own user alone.

    Parameters
    ----------
    logits : float32 array of shape (n, c)
        Logits; infinite ones do not count.

    Examples
    --------
    >>> tolerances(np.array([[0.5, 1.0], [100.0, 0.0]], np.float32)).round(6).tolist()
    [1e-05, 0.000381]

    Returns
    -------
    float64 array of shape (n,)
    """
    finite = np.where(np.isfinite(logits), np.abs(logits.astype(np.float64)), 0.0)
    largest: npt.NDArray[np.float64] = finite.max(axis=1, initial=0.0)
    return np.maximum(TOLERANCE, _ROUNDING * largest)
