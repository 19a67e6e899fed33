"""How far apart two computations of one logit may be: what float32 rounding explains."""

import numpy as np
import numpy.typing as npt

TOLERANCE = 1e-5  # logits, absolute: near zero, relative differences mean nothing
_ROUNDING = 32 * 2.0**-23  # of the largest logit: what float32 sums may differ by in another order


def tolerance(logits: npt.NDArray[np.float32]) -> float:
    """Largest difference from some logits that rounding explains.

    It is 1e-5, or 32 units in the last place of the largest logit where that is more (from
    logits of 2.6 on): a float32 sum cannot be held closer than its own rounding.
    """
    finite = logits[np.isfinite(logits)].astype(np.float64)
    return max(TOLERANCE, _ROUNDING * float(np.abs(finite).max(initial=0.0)))


def tolerances(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Apply :func:`tolerance` to each row by itself: one user's large logits are no other's.

    Parameters
    ----------
    logits : float32 array of shape (n, c)
        Infinite ones do not count.

    Returns
    -------
    float64 array of shape (n,)
    """
    finite = np.where(np.isfinite(logits), np.abs(logits.astype(np.float64)), 0.0)
    largest: npt.NDArray[np.float64] = finite.max(axis=1, initial=0.0)
    return np.maximum(TOLERANCE, _ROUNDING * largest)
