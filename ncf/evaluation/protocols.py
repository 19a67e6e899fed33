"""Evaluate by the sampled protocol: rank a case's positive against its sampled negatives.

The full protocol, over the whole catalogue, is in :mod:`ncf.evaluation.full_ranking`.
"""

import numpy as np

from ncf.data.interactions import Cases
from ncf.errors import UsageError
from ncf.evaluation.metrics import Metrics, Ranks, check_length, pessimistic_ranks, summarise
from ncf.models.scorer import GroupScorer

_CASES_AT_ONCE = 4096


def sampled(score: GroupScorer, cases: Cases, k: int) -> Metrics:
    """Rank each positive against the case's sampled negatives.

    Parameters
    ----------
    score : GroupScorer
        Gives the logits of each user with several items.
    cases : Cases
        Positives with their negatives.
    k : int
        Length of the list, at least 1.

    Raises
    ------
    UsageError
        ``k`` is less than 1, or there is no case.
    """
    check_length(k)
    return summarise(sampled_ranks(score, cases), k)


def sampled_ranks(score: GroupScorer, cases: Cases) -> Ranks:
    """Rank each positive against the case's sampled negatives, for lists of any length.

    Parameters
    ----------
    score : GroupScorer
        Gives the logits of each user with several items.
    cases : Cases
        Positives with their negatives.

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
        # Padding is scored as the positive itself, but not counted.
        candidates = np.column_stack([items[part], np.where(valid, negatives, items[part, None])])
        logits = score(users[part], candidates)
        ranks[part] = pessimistic_ranks(logits[:, 0], logits[:, 1:], valid)
        ranked[part] = valid.any(axis=1)
    unranked = int(np.count_nonzero(~ranked))
    return Ranks(ranks[ranked], users[ranked], unranked)
