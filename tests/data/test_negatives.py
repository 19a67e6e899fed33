"""Negatives: exactly the unseen items, each with the same chance."""

from collections import Counter
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from ncf.data.interactions import Interactions
from ncf.data.negatives import UnseenItems
from ncf.training.negatives import Negatives

Seen = list[set[int]]


def unseen_items(seen: Seen, n_items: int) -> UnseenItems:
    users = [user for user, items in enumerate(seen) for _ in items]
    items = [item for each in seen for item in each]
    pairs = Interactions(np.array(users, np.int32), np.array(items, np.int32), len(seen), n_items)
    return UnseenItems(pairs.csr())


def slow_unseen(seen: Seen, n_items: int) -> list[list[int]]:
    return [sorted(set(range(n_items)) - items) for items in seen]


def indices(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


@st.composite
def seen_sets(draw: st.DrawFn) -> tuple[Seen, int]:
    """Draw what each user saw, from nothing to every item."""
    n_items = draw(st.integers(1, 9))
    some = st.sets(st.integers(0, n_items - 1))
    everything = st.just(set(range(n_items)))
    return draw(st.lists(st.one_of(some, everything), min_size=1, max_size=6)), n_items


def _draw(unseen: UnseenItems, users: npt.NDArray[np.integer], seed: int) -> npt.NDArray[np.int32]:
    """One item for each user, as training draws them."""
    random = torch.Generator().manual_seed(seed)
    drawn = Negatives(unseen, torch.device("cpu")).draw(torch.from_numpy(users), 1, random)
    return drawn.numpy()[:, 0]


@settings(max_examples=200, deadline=None)
@given(case=seen_sets())
def test_at_lists_exactly_the_items_that_a_user_has_not_seen(case: tuple[Seen, int]) -> None:
    seen, n_items = case
    unseen, expected = unseen_items(seen, n_items), slow_unseen(seen, n_items)
    assert unseen.counts.tolist() == [len(items) for items in expected]
    users = [user for user, items in enumerate(expected) for _ in items]
    ranks = [rank for items in expected for rank in range(len(items))]
    found = unseen.at(np.array(users, np.int32), np.array(ranks, np.int64))
    assert found.dtype == np.int32
    assert found.tolist() == [item for items in expected for item in items]


@settings(max_examples=100, deadline=None)
@given(case=seen_sets(), seed=st.integers(0, 1000))
def test_draw_never_returns_a_seen_item(case: tuple[Seen, int], seed: int) -> None:
    seen, n_items = case
    unseen, expected = unseen_items(seen, n_items), slow_unseen(seen, n_items)
    users = np.repeat(np.flatnonzero(unseen.counts > 0), 5)
    drawn = _draw(unseen, users, seed)
    for user, item in zip(users.tolist(), drawn.tolist(), strict=True):
        assert item in expected[user]


@settings(max_examples=150, deadline=None)
@given(case=seen_sets(), size=st.integers(1, 12), seed=st.integers(0, 1000))
def test_draw_distinct_gives_as_many_unseen_items_as_there_are_then_pads(
    case: tuple[Seen, int], size: int, seed: int
) -> None:
    seen, n_items = case
    unseen, expected = unseen_items(seen, n_items), slow_unseen(seen, n_items)
    users = np.arange(len(seen)).repeat(2)
    table = unseen.draw_distinct(users, size, np.random.default_rng(seed))
    assert table.shape == (users.size, size)
    assert table.dtype == np.int32
    for user, row in zip(users.tolist(), table.tolist(), strict=True):
        count = min(size, len(expected[user]))
        assert set(row[:count]) <= set(expected[user])
        assert len(set(row[:count])) == count
        assert row[count:] == [-1] * (size - count)


def test_user_who_saw_everything_gets_padding_alone() -> None:
    unseen = unseen_items([{0, 1, 2}, set()], n_items=3)
    drawn = unseen.draw_distinct(indices(0), 4, np.random.default_rng(0))
    assert drawn.tolist() == [[-1, -1, -1, -1]]


def test_user_with_as_many_unseen_items_as_asked_for_gets_each() -> None:
    unseen = unseen_items([{1}], n_items=4)
    drawn = unseen.draw_distinct(indices(0), 3, np.random.default_rng(0))
    assert sorted(drawn[0].tolist()) == [0, 2, 3]


def test_nobody_gets_nothing() -> None:
    unseen = unseen_items([{0}], n_items=2)
    rng = np.random.default_rng(0)
    assert _draw(unseen, indices(), 0).shape == (0,)
    assert unseen.draw_distinct(indices(), 3, rng).shape == (0, 3)


@pytest.mark.parametrize("user", [0, 1, 2])
def test_draw_gives_each_unseen_item_the_same_chance(user: int) -> None:
    seen: Seen = [set(), {0, 3, 4, 9}, {1, 2, 3, 5, 6, 7, 8}]
    expected = slow_unseen(seen, 10)[user]
    users = np.full(20_000, user)
    drawn = _draw(unseen_items(seen, 10), users, 7)
    counts = np.bincount(drawn, minlength=10)
    assert np.flatnonzero(counts).tolist() == expected
    assert chisquare(counts[expected]).pvalue > 1e-4


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_draw_distinct_gives_each_set_of_unseen_items_the_same_chance(size: int) -> None:
    seen: Seen = [{0, 5}, {2}]  # the second user has five unseen items: 0, 1, 3, 4, 5
    rows = unseen_items(seen, 6).draw_distinct(
        np.ones(20_000, np.int64), size, np.random.default_rng(11)
    )
    counts = Counter(tuple(sorted(row)) for row in rows.tolist())
    subsets = list(combinations((0, 1, 3, 4, 5), size))
    assert sorted(counts) == subsets
    assert chisquare([counts[subset] for subset in subsets]).pvalue > 1e-4


def test_the_same_seed_draws_the_same_items() -> None:
    unseen = unseen_items([{0, 5}, {2}], 40)
    users = indices(0, 1, 1, 0)
    first, second = (unseen.draw_distinct(users, 9, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    other = unseen.draw_distinct(users, 9, np.random.default_rng(4))
    assert not np.array_equal(first, other)
