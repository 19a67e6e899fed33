"""HR@K, NDCG@K and MRR@K from the rank of each case's one positive."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncf.errors import UsageError


@dataclass(frozen=True)
class Ranks:
    """Where each case's positive stands among its sampled negatives.

    Parameters
    ----------
    ranks : int64 array of shape (n,)
        From 1.
    users : int array of shape (n,)
        Owner of each case.
    unranked : int
        Cases left out, as their user has no unseen item to rank against.
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
        ``"sampled"``: figures over the whole catalogue are not comparable.
    k : int
        Length of the list, at least 1.
    cases, users : int
        Cases averaged, and the users they belong to.
    unranked : int
        Cases left out, as their user has no unseen item to rank against.
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
    """Rank of the positive, from 1, where it loses every tie, and loses to NaN.

    Parameters
    ----------
    positive : float32 array of shape (n,)
        Logit of each case's positive.
    others : float32 array of shape (n, m)
        Logits of what it is ranked against.
    valid : bool array of shape (n, m)
        False marks padding.

    Returns
    -------
    int64 array of shape (n,)
        One plus the count of others that do not stand strictly below.
    """
    below = others < positive[:, None]
    lost: npt.NDArray[np.int64] = np.count_nonzero(valid & ~below, axis=1)
    return 1 + lost


def hits(ranks: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.float64]:
    """Whether each positive is among the first K: 1.0 or 0.0."""
    return (ranks <= k).astype(np.float64)


def gains(ranks: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.float64]:
    """NDCG@K of each case: 1 / log2(rank + 1) among the first K, else 0.

    Source: Jarvelin and Kekalainen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS
    20(4), 2002, for one relevant item, where the ideal gain is 1.
    """
    return np.where(ranks <= k, 1 / np.log2(ranks + 1), 0.0)


def reciprocals(ranks: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.float64]:
    """Reciprocal rank of each positive among the first K, else 0."""
    return np.where(ranks <= k, 1 / ranks, 0.0)


def summarise(found: Ranks, k: int) -> Metrics:
    """Average over cases, for lists of K."""
    ranks, users = found.ranks, found.users
    hr, hr_se = mean_and_error(hits(ranks, k), users)
    ndcg, ndcg_se = mean_and_error(gains(ranks, k), users)
    mrr, mrr_se = mean_and_error(reciprocals(ranks, k), users)
    counts = (ranks.size, np.unique(users).size, found.unranked)
    return Metrics("sampled", k, *counts, hr, hr_se, ndcg, ndcg_se, mrr, mrr_se)


def mean_and_error(
    values: npt.NDArray[np.float64], users: npt.NDArray[np.integer]
) -> tuple[float, float]:
    """Mean and its standard error clustered by user (Liang and Zeger, Biometrika 73(1), 1986)."""
    if values.size == 0:
        return 0.0, 0.0
    mean = values.mean()
    of_user = np.bincount(users, weights=values - mean)
    return float(mean), float(np.sqrt(np.sum(of_user**2)) / values.size)


def check_length(*lengths: int) -> None:
    """Refuse lists shorter than one.

    Raises
    ------
    UsageError
        A length is less than 1.
    """
    for k in lengths:
        if k < 1:
            raise UsageError(f"`k` {k} is less than 1")
