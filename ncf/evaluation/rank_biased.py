"""Measure how much two rankings agree, with more weight at the top."""

import numpy as np
import numpy.typing as npt

from ncf.pairs import pair_keys

Lists = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PERSISTENCE = 0.9
"""Probability that a reader goes on to the next place: the first ten hold 86 % of the weight."""


def places(one: Lists, other: Lists) -> Lists:
    """Find the place of each entry of the one in the other's row, from 0; the width if missing.

    Parameters
    ----------
    one, other : int64 arrays of shape (n, width)
        Item indices, distinct within a row; -1 pads at the end.

    Examples
    --------
    >>> places(np.array([[5, 6, -1]]), np.array([[7, 5, 8]])).tolist()
    [[1, 3, 3]]
    """
    width = one.shape[1]
    items = int(max(one.max(initial=0), other.max(initial=0))) + 2  # one more for the pads
    rows = np.arange(len(one))[:, None]
    keys = pair_keys(rows, other + 1, items)
    order = np.argsort(keys, axis=1, kind="stable")
    ascending = np.take_along_axis(keys, order, axis=1).ravel()
    wanted = pair_keys(rows, one + 1, items)
    at = np.minimum(np.searchsorted(ascending, wanted), max(ascending.size - 1, 0))
    found = (ascending[at] == wanted) & (one >= 0) if ascending.size else wanted < 0
    at_place = order.ravel()[at] if ascending.size else at
    result: Lists = np.where(found, at_place, width)
    return result


def agreement(
    one: Lists, other: Lists, *, persistence: float = PERSISTENCE
) -> tuple[Floats, Floats]:
    """Measure how much the two lists of each row agree.

    The overlap is the count of common items over the length of the longer list. Rank-biased
    overlap weighs the overlap of the first d places by ``persistence ** d``, and goes on beyond
    the end of the lists as they were going (RBO_ext): 1 for equal lists, 0 for disjoint ones.

    Source: Webber, Moffat and Zobel, "A similarity measure for indefinite rankings", ACM TOIS
    28(4), 2010, equation 32, which takes lists of two lengths.

    Parameters
    ----------
    one, other : int64 arrays of shape (n, width)
        Item indices, distinct within a row, best first; -1 pads at the end. No row is empty.
    persistence : float
        In (0, 1).

    Returns
    -------
    overlap, rank_biased : float64 arrays of shape (n,)
        In [0, 1].

    Examples
    --------
    >>> overlap, rank_biased = agreement(np.array([[1, 2]]), np.array([[2, 1]]))
    >>> overlap.tolist(), rank_biased.round(6).tolist()
    ([1.0], [0.9])
    """
    n, width = one.shape
    lengths = np.stack([(one >= 0).sum(axis=1), (other >= 0).sum(axis=1)])
    short, long = lengths.min(axis=0), lengths.max(axis=0)
    # The depth from which on each common item is among the first of both.
    depth = np.maximum(np.arange(width), places(one, other))
    rows, columns = np.nonzero(depth < width)
    cells = pair_keys(rows, depth[rows, columns], width)
    common = np.bincount(cells, minlength=n * width).reshape(n, width).cumsum(axis=1)
    depths = np.arange(1, width + 1)
    weights = persistence**depths
    at_short = common[np.arange(n), short - 1]
    beyond = (depths > short[:, None]) * at_short[:, None] * (1 - short[:, None] / depths)
    within = np.where(depths <= long[:, None], common + beyond / short[:, None] * depths, 0.0)
    summed = (within / depths * weights).sum(axis=1) * (1 - persistence) / persistence
    total = common[:, -1]
    rest = (total - at_short) / long + at_short / short
    return total / long, np.clip(summed + rest * persistence**long, 0.0, 1.0)
