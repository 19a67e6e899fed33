import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncf.data.interactions import Cases, Interactions
from ncf.errors import UsageError
from ncf.evaluation import protocols
from ncf.evaluation.metrics import Ranks, pessimistic_ranks, summarise
from ncf.evaluation.protocols import sampled
from ncf.models.scorer import Indices


class Table:
    """Scores pairs from a table: users by items."""

    def __init__(self, logits: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> None:
        self.logits = logits

    def __call__(
        self, users: Indices, items: Indices
    ) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        return self.logits[users if items.ndim == 1 else users[:, None], items]


def _slow(rank: int, k: int) -> tuple[float, float]:
    return (1.0, math.log(2) / math.log(rank + 1)) if rank <= k else (0.0, 0.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_the_sampled_protocol_agrees_with_a_slow_oracle(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    n_users, n_items = int(rng.integers(1, 6)), int(rng.integers(2, 12))
    # Few distinct values, so that ties abound.
    logits = rng.integers(0, 4, (n_users, n_items)).astype(np.float32)
    cells = rng.permutation(n_users * n_items)[: rng.integers(1, n_users * n_items + 1)]
    known = Interactions(
        (cells // n_items).astype(np.int32), (cells % n_items).astype(np.int32), n_users, n_items
    )
    positives = known.take(np.arange(len(known)) < max(1, len(known) // 2))
    seen = [{int(i) for i in known.items[known.users == u]} for u in range(n_users)]
    unseen = [sorted(set(range(n_items)) - seen[u]) for u in range(n_users)]
    width = n_items
    negatives = np.full((len(positives), width), -1, np.int32)
    hits, gains, reciprocals, left_out = [], [], [], 0
    for case, (user, item) in enumerate(zip(positives.users, positives.items, strict=True)):
        rivals = unseen[user]
        negatives[case, : len(rivals)] = rivals
        if not rivals:
            left_out += 1
            continue
        rank = 1 + sum(1 for rival in rivals if logits[user, rival] >= logits[user, item])
        hit, gain = _slow(rank, k)
        hits.append(hit)
        gains.append(gain)
        reciprocals.append(1 / rank if rank <= k else 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocols, "_CASES_AT_ONCE", 3)
        in_parts = sampled(Table(logits), Cases(positives, negatives), k)
    for metrics in (in_parts, sampled(Table(logits), Cases(positives, negatives), k)):
        assert (metrics.cases, metrics.unranked) == (len(hits), left_out)
        assert metrics.hr == pytest.approx(np.mean(hits) if hits else 0)
        assert metrics.ndcg == pytest.approx(np.mean(gains) if gains else 0)
        assert metrics.mrr == pytest.approx(np.mean(reciprocals) if reciprocals else 0)


def test_a_model_that_gives_every_item_the_same_score_gets_nothing() -> None:
    cases = Cases(
        Interactions(np.array([0], np.int32), np.array([0], np.int32), 1, 100),
        np.arange(1, 100, dtype=np.int32)[None],
    )
    metrics = sampled(Table(np.zeros((1, 100), np.float32)), cases, 10)
    assert (metrics.hr, metrics.ndcg) == (0, 0)


def test_nan_cannot_flatter() -> None:
    positive, others = np.array([np.nan, 1.0], np.float32), np.array([[0.0], [np.nan]], np.float32)
    assert pessimistic_ranks(positive, others, np.ones((2, 1), np.bool_)).tolist() == [2, 2]


def test_one_case_a_user_has_the_textbook_standard_error() -> None:
    ranks = np.array([1, 20, 20, 1, 20])
    metrics = summarise(Ranks(ranks, np.arange(5)), 10)
    values = np.array([1.0, 0, 0, 1, 0])
    assert metrics.hr == pytest.approx(0.4)
    assert metrics.hr_se == pytest.approx(values.std() / math.sqrt(5))


def test_cases_of_one_user_do_not_count_as_independent() -> None:
    ranks = np.array([1, 1, 20, 20])
    apart = summarise(Ranks(ranks, np.arange(4)), 10)
    together = summarise(Ranks(ranks, np.array([0, 0, 1, 1])), 10)
    assert together.hr_se == pytest.approx(apart.hr_se * math.sqrt(2))


def test_each_figure_comes_with_its_own_error_over_users() -> None:
    metrics = summarise(Ranks(np.array([1, 2, 4, 20]), np.array([0, 0, 2, 3]), unranked=2), 10)
    assert (metrics.protocol, metrics.k, metrics.unranked) == ("sampled", 10, 2)
    assert (metrics.cases, metrics.users) == (4, 3)
    by_rank = {
        "hr": [1.0, 1.0, 1.0, 0.0],
        "ndcg": [1.0, 1 / math.log2(3), 1 / math.log2(5), 0.0],
        "mrr": [1.0, 1 / 2, 1 / 4, 0.0],
    }
    for name, values in by_rank.items():
        mean = sum(values) / 4
        first, second, third, last = (value - mean for value in values)
        error = math.sqrt((first + second) ** 2 + third**2 + last**2) / 4
        assert getattr(metrics, name) == pytest.approx(mean)
        assert getattr(metrics, f"{name}_se") == pytest.approx(error)


def test_where_no_case_can_be_ranked_every_figure_and_its_error_is_zero() -> None:
    nothing = np.empty(0, np.int64)
    metrics = summarise(Ranks(nothing, nothing, unranked=3), 10)
    assert (metrics.cases, metrics.users, metrics.unranked) == (0, 0, 3)
    assert (metrics.hr, metrics.hr_se, metrics.ndcg, metrics.ndcg_se) == (0, 0, 0, 0)
    assert (metrics.mrr, metrics.mrr_se) == (0, 0)


def test_no_case_and_k_of_zero_are_refused() -> None:
    nothing = Interactions(np.empty(0, np.int32), np.empty(0, np.int32), 1, 2)
    one = Interactions(np.zeros(1, np.int32), np.zeros(1, np.int32), 1, 2)
    table = Table(np.zeros((1, 2), np.float32))
    with pytest.raises(UsageError, match="no case"):
        sampled(table, Cases(nothing, np.empty((0, 9), np.int32)), 10)
    with pytest.raises(UsageError, match="less than 1"):
        sampled(table, Cases(one, np.ones((1, 1), np.int32)), 0)
