"""The two ways to rank a test case's positive: against sampled items, and against all unseen."""

import numpy as np
import numpy.typing as npt

from ncf.data.interactions import Interactions
from ncf.data.prepared import Cases
from ncf.errors import UsageError
from ncf.evaluation.metrics import Metrics, pessimistic_ranks, summarise
from ncf.models.scorer import GroupScorer, Scorer
from ncf.progress import report

_CASES_AT_ONCE = 4096
_SCORES_AT_ONCE = 1 << 22


def sampled(score: GroupScorer, cases: Cases, k: int) -> Metrics:
    """Rank each positive against the case's sampled negatives.

    Parameters
    ----------
    score : GroupScorer
        Logits of groups.
    cases : Cases
        Positives and negatives.
    k : int
        Length of the list, at least 1.

    Raises
    ------
    UsageError
        ``k`` is less than 1, or there is no case.
    """
    _check(cases.positives, k)
    users, items = cases.positives.users, cases.positives.items
    ranks = np.empty(users.size, np.int64)
    ranked = np.empty(users.size, np.bool_)
    for start in range(0, users.size, _CASES_AT_ONCE):
        part = slice(start, start + _CASES_AT_ONCE)
        negatives = np.asarray(cases.negatives[part])
        valid = negatives >= 0
        # Padding is scored as the positive itself, and not counted.
        candidates = np.column_stack([items[part], np.where(valid, negatives, items[part, None])])
        logits = score(users[part], candidates)
        ranks[part] = pessimistic_ranks(logits[:, 0], logits[:, 1:], valid)
        ranked[part] = valid.any(axis=1)
    unranked = int(np.count_nonzero(~ranked))
    return summarise("sampled", ranks[ranked], users[ranked], k, unranked)


def full(score: Scorer, positives: Interactions, known: Interactions, k: int) -> Metrics:
    """Rank each positive against every item that its user is not known to have seen.

    Parameters
    ----------
    score : Scorer
        Logits of pairs.
    positives : Interactions
        One pair a case.
    known : Interactions
        All known pairs, the cases' own included.
    k : int
        Length of the list, at least 1.

    Raises
    ------
    UsageError
        ``k`` is less than 1, or there is no case.
    """
    _check(positives, k)
    seen = known.csr()
    by_user = np.argsort(positives.users, kind="stable")
    n_items = positives.n_items
    step = max(1, _SCORES_AT_ONCE // n_items)
    distinct, starts = np.unique(positives.users[by_user], return_index=True)
    ends = np.append(starts[1:], by_user.size)
    ranks = np.empty(by_user.size, np.int64)
    ranked = np.empty(by_user.size, np.bool_)
    with report("full ranking", distinct.size) as progress:
        for start in range(0, distinct.size, step):
            users = distinct[start : start + step]
            logits = _catalogue_logits(score, users, n_items)
            unseen = ~seen[users].astype(np.bool_).toarray()
            for row in range(users.size):
                cases = by_user[starts[start + row] : ends[start + row]]
                of_user = logits[row, unseen[row]]
                positive = logits[row, positives.items[cases]]
                everything = np.broadcast_to(of_user, (cases.size, of_user.size))
                ranks[cases] = pessimistic_ranks(
                    positive, everything, np.ones(everything.shape, np.bool_)
                )
                ranked[cases] = of_user.size > 0
            progress.advance(users.size)
    unranked = int(np.count_nonzero(~ranked))
    return summarise("full", ranks[ranked], positives.users[ranked], k, unranked)


def _catalogue_logits(
    score: Scorer, users: npt.NDArray[np.integer], n_items: int
) -> npt.NDArray[np.float32]:
    items = np.arange(n_items, dtype=np.int32)
    logits = score(np.repeat(users, n_items), np.tile(items, users.size))
    return logits.reshape(users.size, n_items)


def _check(positives: Interactions, k: int) -> None:
    if k < 1:
        raise UsageError(f"-k {k} is less than 1")
    if not len(positives):
        raise UsageError("the data has no case to evaluate", remedy="prepare more interactions")
