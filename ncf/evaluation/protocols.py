"""The sampled protocol: rank a case's positive against its sampled negatives.

The other one, over the whole catalogue, is :mod:`ncf.evaluation.full_ranking`.
"""

import numpy as np

from ncf.data.prepared import Cases
from ncf.errors import UsageError
from ncf.evaluation.metrics import Metrics, Ranks, check_length, pessimistic_ranks, summarise
from ncf.models.scorer import Scorer

_CASES_AT_ONCE = 4096


def sampled(score: Scorer, cases: Cases, k: int) -> Metrics:
    """Rank each positive against the case's sampled negatives.

    Parameters
    ----------
    score : Scorer
        Logits of pairs.
    cases : Cases
        Positives and negatives.
    k : int
        Length of the list, at least 1.

    Raises
    ------
    UsageError
        ``k`` is less than 1, or there is no case.
    """
    check_length(k)
    return summarise(sampled_ranks(score, cases), k)


def sampled_ranks(score: Scorer, cases: Cases) -> Ranks:
    """Rank each positive against the case's sampled negatives, for lists of any length.

    Parameters
    ----------
    score : Scorer
        Logits of pairs.
    cases : Cases
        Positives and negatives.

    Raises
    ------
    UsageError
        There is no case.
    """
    if not len(cases.positives):
        raise UsageError("the data has no case to evaluate", remedy="prepare more interactions")
    users, items = cases.positives.users, cases.positives.items
    ranks = np.empty(users.size, np.int64)
    ranked = np.empty(users.size, np.bool_)
    for start in range(0, users.size, _CASES_AT_ONCE):
        part = slice(start, start + _CASES_AT_ONCE)
        negatives = np.asarray(cases.negatives[part])
        valid = negatives >= 0
        owners = np.broadcast_to(users[part, None], negatives.shape)
        others = np.zeros(negatives.shape, np.float32)
        others[valid] = score(owners[valid], negatives[valid])
        ranks[part] = pessimistic_ranks(score(users[part], items[part]), others, valid)
        ranked[part] = valid.any(axis=1)
    unranked = int(np.count_nonzero(~ranked))
    return Ranks(ranks[ranked], users[ranked], unranked)
