"""Interactions: bounds at the edge, each pair once, the latest kept."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncf.data.interactions import Interactions, latest_by_user
from ncf.data.ratings import Ratings

Row = tuple[str, str, int]


def interactions(pairs: list[tuple[int, int]], n_users: int = 3, n_items: int = 4) -> Interactions:
    table = np.array(pairs, np.int32).reshape(-1, 2)
    return Interactions(table[:, 0], table[:, 1], n_users, n_items)


def ratings(rows: list[Row], *, timed: bool = True) -> Ratings:
    users = pa.array([user for user, _, _ in rows], pa.string()).dictionary_encode()
    items = pa.array([item for _, item, _ in rows], pa.string()).dictionary_encode()
    times = np.array([time for _, _, time in rows], np.int64) if timed else None
    return Ratings(users, items, times, dropped=0)


def pairs_of(given: Interactions) -> list[tuple[int, int]]:
    return list(zip(given.users.tolist(), given.items.tolist(), strict=True))


def slow_latest(rows: list[Row], *, timed: bool) -> list[tuple[int, int]]:
    """Keep of each pair the row with the greatest (timestamp, place in the file)."""
    user_codes: dict[str, int] = {}
    item_codes: dict[str, int] = {}
    latest: dict[tuple[int, int], tuple[int, int]] = {}
    for place, (user, item, time) in enumerate(rows):
        user_code = user_codes.setdefault(user, len(user_codes))
        pair = (user_code, item_codes.setdefault(item, len(item_codes)))
        moment = (time if timed else 0, place)
        latest[pair] = max(latest.get(pair, moment), moment)
    return sorted(latest, key=lambda pair: (pair[0], latest[pair]))


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("wxyz"), st.integers(0, 4)), max_size=25
    ),
    timed=st.booleans(),
)
def test_latest_by_user_agrees_with_a_dictionary_of_pairs(rows: list[Row], *, timed: bool) -> None:
    kept, duplicates = latest_by_user(ratings(rows, timed=timed))
    assert pairs_of(kept) == slow_latest(rows, timed=timed)
    assert duplicates == len(rows) - len(kept)


def test_of_duplicate_pairs_the_latest_is_kept_whatever_its_place_in_the_file() -> None:
    rows = [("a", "x", 9), ("a", "y", 5), ("a", "x", 1)]
    kept, duplicates = latest_by_user(ratings(rows))
    assert pairs_of(kept) == [(0, 1), (0, 0)]
    assert duplicates == 1


def test_without_timestamps_the_last_in_the_file_is_the_latest() -> None:
    rows = [("a", "x", 0), ("a", "y", 0), ("a", "x", 0)]
    kept, duplicates = latest_by_user(ratings(rows, timed=False))
    assert pairs_of(kept) == [(0, 1), (0, 0)]
    assert duplicates == 1


def test_ids_without_kept_rows_still_have_their_place_in_the_sizes() -> None:
    whole = ratings([("a", "x", 1), ("b", "y", 2), ("c", "z", 3)])
    head = Ratings(whole.users.slice(0, 1), whole.items.slice(0, 1), None, dropped=0)
    kept, _ = latest_by_user(head)
    assert pairs_of(kept) == [(0, 0)]
    assert (kept.n_users, kept.n_items) == (3, 3)


@pytest.mark.parametrize(
    ("pair", "name"), [((3, 0), "user"), ((-1, 0), "user"), ((0, 4), "item"), ((0, -1), "item")]
)
def test_an_index_out_of_range_is_refused(pair: tuple[int, int], name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} index outside"):
        interactions([(0, 0), pair])


def test_users_and_items_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 users and 1 items"):
        Interactions(np.zeros(2, np.int32), np.zeros(1, np.int32), 1, 1)


def test_no_interactions_are_interactions_too() -> None:
    empty = interactions([])
    assert len(empty) == 0
    assert empty.csr().shape == (3, 4)
    assert empty.csr().nnz == 0


@settings(max_examples=100, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=20))
def test_csr_holds_each_pair_once_with_items_ascending(pairs: list[tuple[int, int]]) -> None:
    matrix = interactions(pairs).csr()
    dense = np.zeros((3, 4), np.int8)
    for user, item in pairs:
        dense[user, item] = 1
    np.testing.assert_array_equal(matrix.toarray(), dense)
    assert matrix.nnz == len(set(pairs))
    assert matrix.dtype == np.int8
    for user in range(3):
        items = matrix.indices[matrix.indptr[user] : matrix.indptr[user + 1]].tolist()
        assert items == sorted({item for owner, item in pairs if owner == user})


def test_csr_of_hundreds_of_equal_pairs_does_not_overflow() -> None:
    assert interactions([(1, 2)] * 256).csr().toarray()[1, 2] == 1


def test_take_keeps_the_sizes() -> None:
    some = interactions([(0, 0), (1, 1), (2, 3)])
    assert pairs_of(some.take(np.array([True, False, True]))) == [(0, 0), (2, 3)]
    assert pairs_of(some.take(np.array([2, 0]))) == [(2, 3), (0, 0)]
    assert (some.take(np.array([0])).n_users, some.take(np.array([0])).n_items) == (3, 4)


def test_pairs_are_checked_once_and_not_at_each_take_and_join() -> None:
    class Watched(np.ndarray[tuple[int], np.dtype[np.int32]]):
        looks = 0

        def min(self, *rest: Any, **named: Any) -> Any:  # noqa: ANN401 - as NumPy has it
            Watched.looks += 1
            return np.asarray(self).min(*rest, **named)

    users, items = (np.arange(3, dtype=np.int32).view(Watched) for _ in range(2))
    whole = Interactions(users, items, 3, 3)
    assert Watched.looks == 2
    some = whole.take(np.array([True, False, True]))
    assert isinstance(some.users, Watched)
    assert pairs_of(some.join(whole.take(np.array([1])))) == [(0, 0), (2, 2), (1, 1)]
    assert Watched.looks == 2


def test_pairs_over_id_maps_of_other_sizes_are_not_joined() -> None:
    with pytest.raises(ValueError, match="different sizes"):
        interactions([(0, 0)]).join(interactions([(0, 0)], n_users=4))


def test_join_puts_pairs_in_the_order_given() -> None:
    joined = interactions([(2, 0)]).join(interactions([]), interactions([(0, 1), (1, 1)]))
    assert pairs_of(joined) == [(2, 0), (0, 1), (1, 1)]
