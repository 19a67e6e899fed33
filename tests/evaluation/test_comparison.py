import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ncf.errors import UsageError
from ncf.evaluation.comparison import OfUsers, bootstrap, compare


def of_users(values: list[float], cases: list[int] | None = None) -> OfUsers:
    return OfUsers({"hr": np.array(values)}, np.array(cases or [1] * len(values)))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_users=st.integers(2, 60), rows=st.integers(1, 4))
def test_intervals_are_those_of_scipy(seed: int, n_users: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    cases = rng.integers(1, 5, n_users)
    sums = rng.random((rows, n_users)) * cases
    whole = stats.bootstrap(
        (sums, cases[None].astype(np.float64)),
        lambda values, counts, axis: values.sum(axis=axis) / counts.sum(axis=axis),
        n_resamples=300,
        paired=True,
        axis=-1,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    found = np.array(bootstrap(sums, cases, 300))
    np.testing.assert_allclose(found, np.stack([whole.low, whole.high], axis=1), rtol=1e-12)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        tastes = rng.random(80)  # users differ, so that their cases go together
        cases = rng.integers(1, 6, 80)
        sums = rng.binomial(cases, tastes).astype(np.float64)
        (interval,) = bootstrap(sums[None], cases, 400)
        assert interval is not None
        held += interval[0] <= 0.5 <= interval[1]
    assert 0.9 <= held / 200 <= 0.99


def test_a_paired_difference_is_surer_than_the_figures_apart() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(500)
    better = compare([of_users(first.tolist()), of_users((first + 0.01).tolist())])[1]["hr"]
    assert better.difference == pytest.approx(0.01)
    assert better.difference_interval == pytest.approx((0.01, 0.01))
    assert better.interval is not None
    assert better.interval[1] - better.interval[0] > 0.04


def test_a_model_differs_from_itself_by_nothing() -> None:
    same = of_users([0.0, 1.0, 1.0, 0.0])
    reference, other = (each["hr"] for each in compare([same, same]))
    assert (other.difference, other.difference_interval) == (0, (0, 0))
    assert (reference.difference, reference.difference_interval) == (None, None)
    assert reference.interval == other.interval


def test_cases_weigh_alike_and_users_by_their_cases() -> None:
    users = np.array([7, 7, 7, 2])
    of = OfUsers.of_cases({"hr": np.array([1.0, 1, 0, 0])}, users)
    assert of.cases.tolist() == [1, 3]
    assert of.sums["hr"].tolist() == [0, 2]
    assert compare([of])[0]["hr"].mean == pytest.approx(0.5)


def test_figures_keep_their_names_and_models_their_order() -> None:
    ones = np.ones(4)
    models = [OfUsers({"a": ones * n / 8, "b": ones * n / 4}, np.ones(4, int)) for n in range(3)]
    found = compare(models)
    assert [each["a"].mean for each in found] == [0, 1 / 8, 1 / 4]
    assert [each["b"].difference for each in found] == [None, 1 / 4, 1 / 2]


def test_a_single_user_gives_no_interval_and_none_an_error() -> None:
    one = compare([of_users([1.0]), of_users([0.0])])[1]["hr"]
    assert (one.mean, one.interval, one.difference) == (0, None, -1)
    assert one.difference_interval is None
    with pytest.raises(UsageError, match="no case"):
        compare([of_users([])])


def test_the_same_figures_give_the_same_intervals() -> None:
    values = np.random.default_rng(0).random((2, 50))
    assert bootstrap(values, np.ones(50, int)) == bootstrap(values, np.ones(50, int))
