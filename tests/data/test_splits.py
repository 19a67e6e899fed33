"""Splits: disjoint, complete, and every part what its name says."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncf.data.interactions import Interactions
from ncf.data.splits import Split, leave_one_out, one_of_each_user, random_split

N_ITEMS = 8
Pair = tuple[int, int]

histories = st.lists(
    st.lists(st.integers(0, N_ITEMS - 1), unique=True, max_size=5), min_size=1, max_size=8
)


def interactions(items_by_user: list[list[int]]) -> Interactions:
    """Each user's items from the oldest to the latest."""
    users = [user for user, items in enumerate(items_by_user) for _ in items]
    items = [item for each in items_by_user for item in each]
    arrays = (np.array(users, np.int32), np.array(items, np.int32))
    return Interactions(*arrays, len(items_by_user), N_ITEMS)


def pairs(part: Interactions) -> list[Pair]:
    return list(zip(part.users.tolist(), part.items.tolist(), strict=True))


def users_of(part: Interactions) -> Counter[int]:
    return Counter(part.users.tolist())


def assert_parts_make_the_whole(split: Split, whole: Interactions) -> None:
    parts = (split.train, split.validation, split.test)
    assert sorted(pair for part in parts for pair in pairs(part)) == pairs_sorted(whole)
    for part in parts:
        assert (part.n_users, part.n_items) == (whole.n_users, whole.n_items)


def pairs_sorted(part: Interactions) -> list[Pair]:
    return sorted(pairs(part))


@settings(max_examples=150, deadline=None)
@given(items_by_user=histories, seed=st.integers(0, 1000))
def test_leave_one_out_tests_the_latest_of_each_user_with_two_or_more(
    items_by_user: list[list[int]], seed: int
) -> None:
    whole = interactions(items_by_user)
    split = leave_one_out(whole, np.random.default_rng(seed))
    assert_parts_make_the_whole(split, whole)
    assert pairs(split.test) == [
        (user, items[-1]) for user, items in enumerate(items_by_user) if len(items) >= 2
    ]
    assert users_of(split.validation) == {
        user: 1 for user, items in enumerate(items_by_user) if len(items) >= 3
    }
    assert set(split.train.users.tolist()) == {
        user for user, items in enumerate(items_by_user) if items
    }


def test_user_with_one_interaction_stays_in_training_and_has_no_test_case() -> None:
    split = leave_one_out(interactions([[4], [1, 2]]), np.random.default_rng(0))
    assert pairs(split.train) == [(0, 4), (1, 1)]
    assert pairs(split.validation) == []
    assert pairs(split.test) == [(1, 2)]


def test_training_pairs_stay_in_order_of_user_and_time() -> None:
    split = leave_one_out(interactions([[7, 3, 5, 0], [6, 2]]), np.random.default_rng(1))
    kept = [
        pair for pair in [(0, 7), (0, 3), (0, 5), (1, 6)] if pair not in pairs(split.validation)
    ]
    assert pairs(split.train) == kept


@settings(max_examples=150, deadline=None)
@given(
    items_by_user=histories,
    test_ratio=st.floats(0.01, 0.99),
    seed=st.integers(0, 1000),
)
def test_random_split_tests_the_exact_share(
    items_by_user: list[list[int]], test_ratio: float, seed: int
) -> None:
    whole = interactions(items_by_user)
    split = random_split(whole, test_ratio, np.random.default_rng(seed))
    assert_parts_make_the_whole(split, whole)
    assert len(split.test) == round(len(whole) * test_ratio)
    rest = users_of(split.train) + users_of(split.validation)
    assert users_of(split.validation) == {user: 1 for user, count in rest.items() if count >= 2}
    assert set(split.train.users.tolist()) == set(rest)


@pytest.mark.parametrize(("test_ratio", "cases"), [(0.1, 2), (0.2, 4), (0.5, 10), (0.9, 18)])
def test_random_split_of_twenty_pairs_tests_the_share_asked_for(
    test_ratio: float, cases: int
) -> None:
    whole = interactions([[0, 1, 2, 3], [4, 5, 6, 7], [0, 2, 4, 6], [1, 3, 5, 7], [0, 1, 6, 7]])
    assert len(random_split(whole, test_ratio, np.random.default_rng(0)).test) == cases


def test_every_pair_can_become_a_random_test_case() -> None:
    whole = interactions([[0, 1, 2], [3, 4]])
    seen: Counter[Pair] = Counter()
    for seed in range(300):
        seen.update(pairs(random_split(whole, 0.4, np.random.default_rng(seed)).test))
    assert set(seen) == set(pairs(whole))
    assert min(seen.values()) > 80  # 120 expected


def test_every_training_pair_can_become_the_validation_case() -> None:
    whole = interactions([[0, 1, 2, 3]])
    seen: Counter[Pair] = Counter()
    for seed in range(300):
        seen.update(pairs(leave_one_out(whole, np.random.default_rng(seed)).validation))
    assert set(seen) == {(0, 0), (0, 1), (0, 2)}
    assert min(seen.values()) > 60  # 100 expected


def test_the_same_seed_splits_the_same_way() -> None:
    whole = interactions([[0, 1, 2, 3], [4, 5, 6, 7], [0, 2, 4, 6]])
    first, second, other = (random_split(whole, 0.5, np.random.default_rng(s)) for s in (1, 1, 2))
    assert pairs(first.test) == pairs(second.test)
    assert pairs(first.validation) == pairs(second.validation)
    assert pairs(first.test) != pairs(other.test)


def test_validation_takes_eligible_pairs_alone() -> None:
    whole = interactions([[0, 1, 2], [3, 4, 5], [6, 7]])
    eligible = np.array([True, False, True, True, False, False, True, True])
    for seed in range(20):
        mask = one_of_each_user(whole, eligible, np.random.default_rng(seed))
        assert not (mask & ~eligible).any()
        # The second user has one eligible pair only: it is left for training.
        assert users_of(whole.take(mask)) == {0: 1, 2: 1}


def test_validation_is_capped_at_a_bound_and_drawn_among_all_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ncf.data.splits._VALIDATION_USERS", 3)
    whole = interactions([[0, 1, 2]] * 10)
    users: set[int] = set()
    for seed in range(40):
        split = leave_one_out(whole, np.random.default_rng(seed))
        assert_parts_make_the_whole(split, whole)
        assert len(users_of(split.validation)) == len(split.validation) == 3
        users |= set(split.validation.users.tolist())
    assert users == set(range(10))


def test_the_bound_is_ten_thousand_users() -> None:
    users = np.arange(10_050, dtype=np.int32).repeat(3)
    items = np.tile(np.arange(3, dtype=np.int32), 10_050)
    split = leave_one_out(Interactions(users, items, 10_050, 3), np.random.default_rng(0))
    assert len(split.validation) == 10_000
    assert len(split.test) == 10_050


def test_nothing_splits_into_nothing() -> None:
    empty = interactions([[], []])
    for split in (
        leave_one_out(empty, np.random.default_rng(0)),
        random_split(empty, 0.2, np.random.default_rng(0)),
    ):
        assert [len(part) for part in (split.train, split.validation, split.test)] == [0, 0, 0]
