import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncf.evaluation.overlap import Overlap, shared

Lists = npt.NDArray[np.int64]


def random_lists(seed: int, users: int, width: int, items: int) -> tuple[Lists, Lists]:
    """Two models' lists, some users' shorter than the others'."""
    rng = np.random.default_rng(seed)
    pair = np.full((2, users, width), -1, np.int64)
    for user in range(users):
        length = rng.integers(0, min(width, items) + 1)
        for lists in pair:
            lists[user, :length] = rng.permutation(items)[:length]
    return pair[0], pair[1]


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    users=st.integers(1, 5),
    width=st.integers(1, 8),
    items=st.integers(1, 12),
)
def test_both_measures_are_what_their_definitions_give(
    seed: int, users: int, width: int, items: int
) -> None:
    one, other = random_lists(seed, users, width, items)
    common, average = shared(one, other)
    for user in range(users):
        first, second = (row[row >= 0].tolist() for row in (one[user], other[user]))
        depths = [
            len(set(first[:d]) & set(second[:d])) / d for d in range(1, len(first) + 1)
        ]  # fmt: skip
        assert common[user] == pytest.approx(depths[-1] if depths else 0)
        assert average[user] == pytest.approx(np.mean(depths) if depths else 0)


def test_order_counts_in_the_average_alone() -> None:
    one, other = np.array([[1, 2, 3]]), np.array([[3, 2, 1]])
    assert [part.tolist() for part in shared(one, other)] == [
        [1],
        [pytest.approx((0 + 0.5 + 1) / 3)],
    ]


def test_matrices_are_means_over_users_of_all_blocks() -> None:
    overlap = Overlap(3)
    overlap.add((np.array([[0, 1]]), np.array([[0, 2]]), np.array([[4, 3]])))
    overlap.add((np.array([[0, 1]]), np.array([[0, 1]]), np.array([[1, 0]])))
    assert overlap.common() == [[1, 0.75, 0.5], [0.75, 1, 0.5], [0.5, 0.5, 1]]
    assert overlap.average()[0] == [1, pytest.approx((0.75 + 1) / 2), pytest.approx(0.25)]
