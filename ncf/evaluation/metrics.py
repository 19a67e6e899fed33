"""Compute HR@K, NDCG@K and MRR@K from the rank of each case's one positive."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncf.errors import UsageError


@dataclass(frozen=True)
class Ranks:
    """The rank of each case's positive among its sampled negatives.

    Parameters
    ----------
    ranks : int64 array of shape (n,)
        Ranks, from 1.
    users : int array of shape (n,)
        User of each case.
    unranked : int
        Cases left out because their user has no unseen item to rank against.
    """

    ranks: npt.NDArray[np.int64]
    users: npt.NDArray[np.integer]
    unranked: int = 0


@dataclass(frozen=True)
class Metrics:
    """Means over cases by the sampled protocol, with standard errors clustered by user.

    Parameters
    ----------
    protocol : str
        Always ``"sampled"``, as figures over the whole catalogue are not comparable with these.
    k : int
        Length of the list, at least 1.
    cases, users : int
        Count of cases averaged, and of their users.
    unranked : int
        Cases left out because their user has no unseen item to rank against.
    hr, ndcg, mrr : float
        Hit ratio, normalised discounted cumulative gain and mean reciprocal rank at K, in [0, 1].
    hr_se, ndcg_se, mrr_se : float
        Their standard errors.
    """

    protocol: str
    k: int
    cases: int
    users: int
    unranked: int
    hr: float
    hr_se: float
    ndcg: float
    ndcg_se: float
    mrr: float
    mrr_se: float


def pessimistic_ranks(
    positive: npt.NDArray[np.float32],
    others: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int64]:
    """Rank each positive, from 1; it loses every tie, and loses to NaN.

    Parameters
    ----------
    positive : float32 array of shape (n,)
        Logit of each case's positive.
    others : float32 array of shape (n, m)
        Logits of the negatives.
    valid : bool array of shape (n, m)
        False marks padding.

    Returns
    -------
    int64 array of shape (n,)
        One plus the count of others that are not strictly lower.

    Examples
    --------
    >>> others = np.array([[0.5, 2.0, 1.0]], np.float32)
    >>> valid = np.array([[True, True, True]])
    >>> pessimistic_ranks(np.array([1.0], np.float32), others, valid).tolist()
    [3]
    """
    below = others < positive[:, None]
    lost: npt.NDArray[np.int64] = np.count_nonzero(valid & ~below, axis=1)
    return 1 + lost


def hits(ranks: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.float64]:
    """Compute HR@K of each case: 1.0 if the positive is among the first K, else 0.0.

    Examples
    --------
    >>> hits(np.array([1, 3, 11]), 10).tolist()
    [1.0, 1.0, 0.0]
    """
    return (ranks <= k).astype(np.float64)


def gains(ranks: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.float64]:
    """Compute NDCG@K of each case: 1 / log2(rank + 1) among the first K, else 0.

    Source: Jarvelin and Kekalainen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS
    20(4), 2002, for one relevant item, where the ideal gain is 1.

    Examples
    --------
    >>> gains(np.array([1, 3, 11]), 10).tolist()
    [1.0, 0.5, 0.0]
    """
    return np.where(ranks <= k, 1 / np.log2(ranks + 1), 0.0)


def reciprocals(ranks: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.float64]:
    """Compute the reciprocal rank of each positive among the first K, else 0.

    Examples
    --------
    >>> reciprocals(np.array([1, 4, 11]), 10).tolist()
    [1.0, 0.25, 0.0]
    """
    return np.where(ranks <= k, 1 / ranks, 0.0)


def summarise(found: Ranks, k: int) -> Metrics:
    """Average HR, NDCG and MRR over cases, for lists of K.

    Examples
    --------
    >>> found = summarise(Ranks(np.array([1, 3]), np.array([0, 1])), 2)
    >>> found.hr, found.ndcg, found.mrr
    (0.5, 0.5, 0.5)
    """
    ranks, users = found.ranks, found.users
    hr, hr_se = mean_and_error(hits(ranks, k), users)
    ndcg, ndcg_se = mean_and_error(gains(ranks, k), users)
    mrr, mrr_se = mean_and_error(reciprocals(ranks, k), users)
    counts = (ranks.size, np.unique(users).size, found.unranked)
    return Metrics("sampled", k, *counts, hr, hr_se, ndcg, ndcg_se, mrr, mrr_se)


def mean_and_error(
    values: npt.NDArray[np.float64], users: npt.NDArray[np.integer]
) -> tuple[float, float]:
    """Compute a mean and its standard error clustered by user.

    Source: Liang and Zeger, "Longitudinal data analysis using generalized linear models",
    Biometrika 73(1), 1986.

    Examples
    --------
    >>> mean, error = mean_and_error(np.array([1.0, 0.0, 1.0, 0.0]), np.array([0, 1, 2, 3]))
    >>> mean, error
    (0.5, 0.25)
    """
    if values.size == 0:
        return 0.0, 0.0
    mean = values.mean()
    of_user = np.bincount(users, weights=values - mean)
    return float(mean), float(np.sqrt(np.sum(of_user**2)) / values.size)


def check_length(*lengths: int) -> None:
    """Refuse a length of lists under 1.

    Raises
    ------
    UsageError
        A length is less than 1.
    """
    for k in lengths:
        if k < 1:
            raise UsageError(f"`k` {k} is less than 1")
