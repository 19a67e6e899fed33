"""Choose the shares of the two parents of a NeuMF on validation."""

import logging
from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

_MIXES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_CLEARLY = 1.01  # two networks together vary less than one


def best_mix(worth: Callable[[Sequence[float]], Sequence[float]]) -> float:
    """Find the share of the GMF that ranks best; where nobody can tell, both are mixed.

    Parameters
    ----------
    worth : callable
        Gives the NDCG, on validation, of each of some shares of the GMF in [0, 1]; the MLP has
        the rest.

    Returns
    -------
    float
        The best of 0.1 to 0.9, or 1 where the GMF alone is better by more than 1 %.

    Examples
    --------
    >>> best_mix(lambda shares: [0.5 - abs(share - 0.7) for share in shares])
    0.7
    """
    shares = (*_MIXES, 1.0)
    found = dict(zip(shares, worth(shares), strict=True))
    best = max(_MIXES, key=found.__getitem__)
    if found[1.0] <= _CLEARLY * found[best]:
        return best
    logger.info("the MLP adds nothing to its GMF here: 'gmf' ranks the same lists, and faster")
    return 1.0
