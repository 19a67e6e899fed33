"""Seen items agree with a dictionary of sets, whatever the order of the pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncf.scoring.seen import Fresh, Seen

USERS, ITEMS = 6, 9
PAIRS = st.lists(st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1)), max_size=40)
ASKED = st.lists(st.integers(0, USERS - 1), max_size=8)


def _columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    users, items = np.array(pairs, np.int64).reshape(-1, 2).T
    return users, items


def _expected(pairs: list[tuple[int, int]], asked: list[int]) -> list[list[int]]:
    """Position and item of every known pair, users in the order asked, items ascending."""
    return [
        [position, item]
        for position, user in enumerate(asked)
        for item in sorted({i for u, i in pairs if u == user})
    ]


@settings(max_examples=100, deadline=None)
@given(pairs=PAIRS, asked=ASKED)
def test_pairs_agree_with_sets(pairs: list[tuple[int, int]], asked: list[int]) -> None:
    users, items = _columns(pairs)
    seen = Seen.of_pairs(users, items, (USERS, ITEMS))
    wanted = np.array(asked, np.int64)
    assert seen.shape == (USERS, ITEMS)
    assert seen.within_bounds()
    assert seen.pairs(wanted).tolist() == _expected(pairs, asked)
    assert seen.counts(wanted).tolist() == [len({i for u, i in pairs if u == a}) for a in asked]
    for user in range(USERS):
        assert seen.of(user).tolist() == sorted({i for u, i in pairs if u == user})
        assert seen.of(user).dtype == np.int64


@settings(max_examples=100, deadline=None)
@given(pairs=PAIRS, asked=ASKED)
def test_fresh_pairs_agree_with_sets(pairs: list[tuple[int, int]], asked: list[int]) -> None:
    # Of users with gaps between them, as tonight's are.
    users, items = _columns(pairs)
    fresh = Fresh.of_pairs(users * 7 + 3, items, ITEMS)
    wanted = np.array(asked, np.int64) * 7 + 3
    assert fresh.pairs(wanted).tolist() == _expected(pairs, asked)
    assert fresh.pairs(np.array([0, 5], np.int64)).tolist() == []


SOUND = ([0, 2, 2, 3], [1, 4, 0])


@pytest.mark.parametrize(
    ("starts", "items"),
    [
        ([1, 2, 2, 3], SOUND[1]),
        ([0, 2, 2, 2], SOUND[1]),
        ([0, 2, 2, 4], SOUND[1]),
        ([0, 3, 2, 3], SOUND[1]),
        (SOUND[0], [1, 5, 0]),
        (SOUND[0], [5, 4, 0]),
        (SOUND[0], [1, -1, 0]),
        (SOUND[0], [1.0, 4.0, 0.0]),
        ([0.0, 2.0, 2.0, 3.0], SOUND[1]),
        ([SOUND[0]], SOUND[1]),
    ],
)
def test_rows_that_cannot_be_are_out_of_bounds(starts: list[float], items: list[float]) -> None:
    assert Seen(np.array(SOUND[0]), np.array(SOUND[1]), 5).within_bounds()
    assert not Seen(np.array(starts), np.array(items), 5).within_bounds()


def test_bounds_hold_beyond_the_first_million_entries() -> None:
    many = (1 << 20) + 3
    items = np.zeros(many, np.int32)
    starts = np.array([0, many])
    assert Seen(starts, items, 1).within_bounds()
    items[-1] = 1
    assert not Seen(starts, items, 1).within_bounds()
    rows = np.zeros(many + 1, np.int64)
    assert Seen(rows, np.empty(0, np.int32), 1).within_bounds()
    for place in (
        many - 1,
        1 << 20,
        (1 << 20) - 1,
        1,
    ):  # about the edges of what is checked at once
        rows[place] = -1
        assert not Seen(rows, np.empty(0, np.int32), 1).within_bounds()
        rows[place] = 0
