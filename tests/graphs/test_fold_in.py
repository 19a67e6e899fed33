"""The graph that folds in: what NumPy says, and the same bits in every block and thread count."""

from functools import cache
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncf.graphs.fold_in import features, fold_in_graph, scales
from ncf.scoring.fold_in import FoldIn, grown
from ncf.scoring.sessions import open_cpu

ITEMS, VECTOR, WIDTH = 30, 6, 5
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(ITEMS, VECTOR)).astype(np.float32)
MAP = RNG.normal(size=(3 * VECTOR + 3, WIDTH)).astype(np.float32)

Histories = st.lists(
    st.one_of(
        st.lists(st.integers(0, ITEMS - 1), max_size=12),
        st.just([4]),
        st.just(list(range(ITEMS))),
    ),
    min_size=1,
    max_size=9,
)


@cache
def fold_in(threads: int) -> FoldIn:
    return FoldIn(open_cpu(fold_in_graph(VECTORS, MAP), threads), ITEMS)


def pairs_of(histories: list[list[int]]) -> npt.NDArray[np.int64]:
    pairs = [(user, item) for user, history in enumerate(histories) for item in history]
    return np.array(pairs, np.int64).reshape(-1, 2)


def slow_row(history: list[int]) -> npt.NDArray[np.float64]:
    distinct = sorted(set(history))
    total = sum((VECTORS[item].astype(float) for item in distinct), np.zeros(VECTOR))
    m, log = max(len(distinct), 1), np.log(1 + len(distinct))
    x = np.concatenate([total / m**0.5, total / m, total * log / m, [log, log * log, 1.0]])
    return np.asarray(x @ MAP.astype(float))


@given(Histories)
def test_rows_are_those_written_the_slow_way(histories: list[list[int]]) -> None:
    rows = fold_in(1).rows(pairs_of(histories), len(histories))
    expected = np.stack([slow_row(history) for history in histories])
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=2e-5)


@given(Histories, st.randoms(use_true_random=False))
def test_bits_depend_on_neither_block_nor_threads_nor_order(
    histories: list[list[int]], random: Random
) -> None:
    together = fold_in(1).rows(pairs_of(histories), len(histories))
    assert np.array_equal(together, fold_in(2).rows(pairs_of(histories), len(histories)))
    for history, row in zip(histories, together, strict=True):
        shuffled = [*history, *history[:2]]
        random.shuffle(shuffled)
        assert np.array_equal(fold_in(2).rows(pairs_of([shuffled]), 1)[0], row)


def test_more_users_than_one_call_takes() -> None:
    histories = [[user % ITEMS] if user % 3 else [] for user in range(2500)]
    rows = fold_in(1).rows(pairs_of(histories), len(histories))
    assert np.array_equal(rows[1], rows[1 + ITEMS * 3])
    assert np.array_equal(rows[0], rows[2499])


@pytest.mark.parametrize("pair", [(0, -1), (0, ITEMS), (1, 0), (-1, 0)])
def test_an_index_out_of_range_is_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(IndexError):
        fold_in(1).rows(np.array([pair]), 1)


def test_features_by_hand() -> None:
    x = features(np.array([[2.0, 4.0]]), np.array([4]))
    log = np.log(5)
    expected = [1, 2, 0.5, 1, log / 2, log, log, log**2, 1]
    np.testing.assert_allclose(x, [expected])
    assert scales(np.array([0])).tolist() == [[1, 1, 0, 0, 0, 1]]


def test_a_refreshed_row_moves_by_the_difference_or_is_made_anew() -> None:
    before = pairs_of([list(range(10)), list(range(10)), []])
    after = pairs_of([list(range(12)), list(range(13)), [3]])
    rows = RNG.normal(size=(3, WIDTH)).astype(np.float32)
    moved = fold_in(1).refreshed(rows, before, after)
    new, old = fold_in(1).rows(after, 3), fold_in(1).rows(before, 3)
    np.testing.assert_array_equal(moved[0], rows[0] + (new[0] - old[0]))
    np.testing.assert_array_equal(moved[1:], new[1:])
    assert grown(before, after, 3, ITEMS).tolist() == [0.2, 0.3, np.inf]
