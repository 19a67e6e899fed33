import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncf.proof.recall import (
    PairSample,
    mean_lower_bound,
    misses_proven,
    misses_to_allow,
    pairs_needed,
    recalls,
)
from ncf.scoring.ranker import TopK

INF = np.inf


def _lists(items: list[list[int]], scores: list[list[float]]) -> TopK:
    return TopK(np.array(items, np.int64), np.array(scores, np.float32))


def test_recall_counts_what_of_the_exact_list_was_found() -> None:
    exact = _lists([[0, 1, 2, 3]] * 4, [[4, 3, 2, 1]] * 4)
    found = _lists(
        [[0, 1, 2, 3], [0, 1, 2, 9], [0, 2, 9, 8], [9, 8, 7, 6]],
        [[4, 3, 2, 1], [4, 3, 2, 0.5], [4, 2, 0.9, 0.8], [0.9, 0.8, 0.7, 0.6]],
    )
    np.testing.assert_array_equal(recalls(found, exact), [1, 0.75, 0.5, 0])


def test_an_item_that_ties_with_the_last_is_not_missed() -> None:
    exact = _lists([[0, 1, 2]], [[2, 1, 1]])
    assert recalls(_lists([[0, 2, 5]], [[2, 1, 1]]), exact).tolist() == [1]


def test_users_with_little_or_nothing_left_are_judged_by_that() -> None:
    exact = _lists([[3, 0, 1], [0, 1, 2]], [[2, -INF, -INF], [-INF, -INF, -INF]])
    assert recalls(exact, exact).tolist() == [1, 1]
    nothing = _lists([[0, 1, 2]] * 2, [[-INF] * 3] * 2)
    assert recalls(nothing, exact).tolist() == [0, 1]
    worse = _lists([[4, 0, 1], [0, 1, 2]], [[1, -INF, -INF], [-INF, -INF, -INF]])
    assert recalls(worse, exact).tolist() == [0, 1]


@pytest.mark.parametrize("n", [10, 300, 3000])
def test_a_perfect_sample_proves_a_little_less_than_the_rule_of_three_says(n: int) -> None:
    bound = mean_lower_bound(np.ones(n))
    assert 0.05 ** (1 / n) > bound > 1 - 4 / n


@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=50),
    confidence=st.floats(0.5, 0.999),
)
def test_the_bound_lies_under_the_mean_and_falls_with_confidence(
    values: list[float], confidence: float
) -> None:
    sample = np.array(values)
    bound = mean_lower_bound(sample, confidence)
    assert 0 <= bound <= sample.mean() + 1e-9
    assert mean_lower_bound(sample, 0.9999) <= bound + 1e-12


def _rarely_all(rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    """One user in two hundred misses everything: the worst kind of cluster."""
    return (rng.random(n) > 0.005).astype(np.float64)


def _often_little(rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    """One user in twenty misses one of ten items."""
    return np.where(rng.random(n) < 0.05, 0.9, 1.0)


def _spread(rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    return rng.beta(20, 0.3, n).astype(np.float64)


@pytest.mark.parametrize(
    ("draw", "mean"), [(_rarely_all, 0.995), (_often_little, 0.995), (_spread, 20 / 20.3)]
)
@pytest.mark.parametrize("n", [100, 600])
def test_the_bound_is_above_the_truth_at_most_once_in_twenty_times(
    draw: object, mean: float, n: int
) -> None:
    assert callable(draw)
    rng = np.random.default_rng(0)
    wrong = np.mean([mean_lower_bound(draw(rng, n)) > mean for _ in range(600)])
    assert wrong <= 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5


def test_a_sample_without_replacement_is_no_worse() -> None:
    rng = np.random.default_rng(0)
    population = np.ones(400)
    population[:8] = 0
    drawn = [mean_lower_bound(rng.choice(population, 150, replace=False)) for _ in range(600)]
    assert np.mean(np.array(drawn) > population.mean()) <= 0.05


def test_samples_of_pairs_add_up() -> None:
    one, two = PairSample(10, 1, 100, 20), PairSample(30, 2, 300, 40)
    assert one + two == PairSample(40, 3, 400, 60)
    assert (one + two).recall() == pytest.approx(1 - 3 / 40 * 400 / 60)


def test_a_sample_that_saw_nothing_proves_nothing_but_where_nothing_is_listed() -> None:
    assert PairSample(0, 0, 100, 10).lower_bound() == 0
    assert PairSample(0, 0, 100, 0).lower_bound() == 1
    assert PairSample(5, 5, 100, 10).lower_bound() == 0


@pytest.mark.parametrize(("recall", "k", "items"), [(0.999, 10, 3533), (0.99, 100, 100_000)])
def test_so_many_pairs_as_needed_prove_the_recall_and_a_few_less_do_not(
    recall: float, k: int, items: int
) -> None:
    users = 5000
    pairs = pairs_needed(recall, k, items)
    assert PairSample(pairs, 0, users * items, users * k).lower_bound() >= recall
    assert PairSample(0.99 * pairs, 0, users * items, users * k).lower_bound() < recall
    more = pairs_needed(recall, k, items, misses=2)
    assert PairSample(more, 2, users * items, users * k).lower_bound() >= recall
    assert PairSample(more, 3, users * items, users * k).lower_bound() < recall
    # In whole lists of the catalogue, less than four over the misses allowed a user.
    assert pairs / items == pytest.approx(3.745 / ((1 - recall) * k), rel=0.01)


@pytest.mark.parametrize("each", [0.2, 3])
@pytest.mark.parametrize("users_who_miss", [3, 60])
def test_the_bound_of_pairs_holds_however_misses_cluster(each: float, users_who_miss: int) -> None:
    # 600 misses in 20,000 entries of lists: of a few users, or of many.
    users, items, k = 2000, 500, 10
    misses = np.zeros(users)
    misses[:users_who_miss] = 600 / users_who_miss
    rng = np.random.default_rng(0)
    rates = np.minimum(1, misses / items)
    wrong = 0
    for _ in range(1000):
        drawn = rng.random(users) < each if each < 1 else np.full(users, int(each))
        missed = int(rng.binomial(np.asarray(drawn, np.int64), rates).sum())
        sample = PairSample(each * users, missed, users * items, users * k)
        wrong += sample.lower_bound() > 1 - 600 / (users * k)
    assert wrong / 1000 <= 0.05 + 3 * (0.05 * 0.95 / 1000) ** 0.5


@pytest.mark.parametrize("recall", [0.9985, 0.999])
def test_looking_after_every_round_publishes_no_more_bad_tables_than_promised(
    recall: float,
) -> None:
    # The table is under the contract, or just at it; one stops as soon as the proof is there.
    rng = np.random.default_rng(0)
    published = 0
    for _ in range(2000):
        sample = PairSample(0, 0, 20_000_000, 60_000)
        for _ in range(40):
            drawn = rng.poisson(60_000 * (1 - recall) * 200_000 / 20_000_000)
            sample += PairSample(200_000, int(drawn))
            if sample.lower_bound() >= 0.999:
                published += 1
                break
    assert published / 2000 <= 0.05


def test_an_audit_sized_for_a_recall_nearly_always_proves_it() -> None:
    rng = np.random.default_rng(0)
    for rate in (0.003, 0.05, 0.2):
        misses = misses_to_allow(rate, 0.99)
        assert misses is not None
        size = misses_proven(misses)
        passed = np.mean(rng.poisson(rate * size, 20_000) <= misses)
        assert passed >= 0.987
        assert misses == 0 or np.mean(rng.poisson(rate * size, 20_000) <= misses - 1) < 0.993
    assert misses_to_allow(1.2, 0.99) is None
