"""Each simple model against the same one written the slow way."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from ncf.baselines.climb import climb
from ncf.baselines.ease import ease, item_gram
from ncf.baselines.ials import Ials, IalsSettings
from ncf.baselines.item_item import NEIGHBOUR, WEIGHT, ItemItem, top_items
from ncf.baselines.item_knn import KnnSettings, neighbours
from ncf.baselines.names import Baseline
from ncf.errors import ConfigError
from ncf.training.baseline_settings import ladders_of
from tests.oracles import best_unseen

Array = npt.NDArray[np.float64]


def _pairs(seed: int, users: int = 30, items: int = 12, share: float = 0.3) -> sparse.csr_array:
    dense = np.random.default_rng(seed).random((users, items)) < share
    return sparse.csr_array(dense.astype(np.int8))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("l2", [0.5, 20.0])
def test_ease_is_its_closed_form(seed: int, l2: float) -> None:
    x = _pairs(seed).toarray().astype(np.float64)
    inverse = np.linalg.inv(x.T @ x + l2 * np.eye(x.shape[1]))
    expected = np.eye(x.shape[1]) - inverse / np.diag(inverse)  # column j by P_jj
    found = ease(item_gram(_pairs(seed)), l2)[WEIGHT]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_ease_minimises_what_it_says() -> None:
    x = _pairs(5).toarray().astype(np.float64)
    found = ease(item_gram(_pairs(5)), 3.0)[WEIGHT].astype(np.float64)
    gradient = x.T @ (x @ found - x) + 3.0 * found
    off = ~np.eye(len(found), dtype=bool)
    assert np.abs(gradient[off]).max() < 1e-4


def test_ease_of_many_items_works_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ease(item_gram(_pairs(1)), 2.0)[WEIGHT]
    monkeypatch.setattr("ncf.baselines.ease._ITEMS_AT_ONCE", 5)
    np.testing.assert_array_equal(ease(item_gram(_pairs(1)), 2.0)[WEIGHT], whole)
    monkeypatch.setattr("ncf.baselines.ease._DOUBLE_UP_TO", 4)
    single = ease(item_gram(_pairs(1)), 2.0)[WEIGHT]
    np.testing.assert_allclose(single, whole, atol=1e-5)


def test_an_l2_that_leaves_a_singular_matrix_is_named() -> None:
    twice = sparse.csr_array(np.ones((3, 4), np.int8))
    with pytest.raises(ConfigError, match=r"l2 = 1e-30 is too small"):
        ease(item_gram(twice), 1e-30)


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_ials_is_each_row_solved_on_its_own(
    exponent: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = _pairs(0, 25, 14)
    chosen = IalsSettings(factors=5, unseen=0.3, l2=0.02, exponent=exponent)
    monkeypatch.setattr("ncf.baselines.ials._NUMBERS_AT_ONCE", 200)  # several blocks
    found = Ials(pairs, chosen, np.random.default_rng(1), threads=2)
    x, users = pairs.toarray().astype(np.float64), found.users.astype(np.float64)
    for _ in range(4):
        items = _solved(x.T, users, chosen)
        users = _solved(x, items, chosen)
        found.sweep()
    np.testing.assert_allclose(found.users, users, atol=1e-4)
    np.testing.assert_allclose(found.items, items, atol=1e-4)


def _solved(x: Array, others: Array, chosen: IalsSettings) -> Array:
    rows = []
    for row in x:
        own = others[row > 0]
        scale = (len(own) + chosen.unseen * len(others)) ** chosen.exponent
        left = own.T @ own + chosen.unseen * others.T @ others
        left += chosen.l2 * scale * np.eye(chosen.factors)
        rows.append(np.linalg.solve(left, own.sum(axis=0)))
    return np.array(rows)


def test_no_sweep_of_ials_raises_the_loss() -> None:
    pairs = _pairs(3, 40, 20)
    chosen = IalsSettings(factors=4, unseen=0.2, l2=0.01)
    model, losses = Ials(pairs, chosen, np.random.default_rng(0)), []
    for _ in range(6):
        model.sweep()
        losses.append(_loss(pairs.toarray().astype(np.float64), model, chosen))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def _loss(x: Array, model: Ials, chosen: IalsSettings) -> float:
    users, items = model.users.astype(np.float64), model.items.astype(np.float64)
    scores = users @ items.T
    loss = (x * (scores - 1) ** 2).sum() + chosen.unseen * (scores**2).sum()
    for counts, rows, others in ((x.sum(1), users, items), (x.sum(0), items, users)):
        scale = (counts + chosen.unseen * len(others)) ** chosen.exponent
        loss += chosen.l2 * (scale * (rows**2).sum(1)).sum()
    return float(loss)


@pytest.mark.parametrize("chosen", [KnnSettings(3, 0.0, 0.5), KnnSettings(4, 2.0, 0.8)])
def test_item_knn_is_a_loop_over_items(
    chosen: KnnSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ncf.baselines.item_knn._ITEMS_AT_ONCE", 5)
    pairs = _pairs(2)
    x = pairs.toarray().astype(np.float64)
    counts, n_items = x.sum(axis=0), x.shape[1]
    expected = np.zeros((n_items, n_items))
    for item in range(n_items):
        worth = {}
        for other in range(n_items):
            common = (x[:, item] * x[:, other]).sum()
            if other != item and common:
                below = counts[other] ** chosen.asymmetry * counts[item] ** (1 - chosen.asymmetry)
                worth[other] = common / (below + chosen.shrinkage)
        for other in best_unseen(worth, set(), chosen.neighbours):
            expected[other, item] = worth[other]
    model = ItemItem.of_arrays(neighbours(pairs, chosen), pairs)
    np.testing.assert_allclose(model.scores(np.arange(30)), x @ expected, atol=1e-5)


def test_more_neighbours_than_there_are_items_keep_all() -> None:
    found = neighbours(_pairs(0), KnnSettings(neighbours=500))
    assert found[WEIGHT].shape == found[NEIGHBOUR].shape == (12, 11)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n_users=st.integers(1, 4), n_items=st.integers(1, 9), k=st.integers(1, 9))
def test_the_top_items_are_those_of_a_sort(
    data: st.DataObject, n_users: int, n_items: int, k: int
) -> None:
    values = st.sampled_from([0.0, 0.5, 1.0, 2.0, -np.inf])
    rows = data.draw(
        st.lists(
            st.lists(values, min_size=n_items, max_size=n_items), min_size=n_users, max_size=n_users
        )
    )
    width = min(k, n_items)
    expected = []
    for row in rows:
        best = best_unseen(dict(enumerate(row)), set(), width)
        expected.append([item if row[item] > -np.inf else -1 for item in best])
    assert top_items(np.array(rows, np.float32), width).tolist() == expected


def test_pairs_are_scored_as_lists_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncf.baselines.item_item._SCORES_AT_ONCE", 30)  # two users at once
    pairs = _pairs(4)
    model = ItemItem.of_arrays(ease(item_gram(pairs), 5.0), pairs)
    users, items = np.array([7, 3, 7, 29, 0]), np.arange(60).reshape(5, 12) % 12
    whole = model.scores(np.arange(30))
    np.testing.assert_array_equal(
        model.pair_scores(users, items), np.take_along_axis(whole[users], items, axis=1)
    )
    lists = model.lists(pairs)(np.arange(30), 20)
    for user in range(30):
        seen = set(np.flatnonzero(pairs.toarray()[user]).tolist())
        best = best_unseen(dict(enumerate(whole[user].tolist())), seen, 12)
        assert [item for item in lists[user].tolist() if item >= 0] == best


def test_the_climb_finds_the_top_of_a_hill_and_stops() -> None:
    ladders = {"x": range(10), "y": range(10)}
    tried = climb(ladders, {"x": 1, "y": 8}, lambda v: -((v["x"] - 6) ** 2) - (v["y"] - 2) ** 2, 99)
    best = max(tried, key=lambda each: each[1])
    assert (best[0], len(tried) < 40) == ({"x": 6, "y": 2}, True)
    few = climb(ladders, {"x": 1, "y": 8}, lambda v: v["x"], 3)
    assert [dict(values)["x"] for values, _ in few] == [1, 2, 3]


def test_a_search_starts_near_what_the_data_want() -> None:
    few, many = _pairs(1, users=60, items=50, share=0.02), _pairs(1, users=600, items=50, share=0.5)
    l2 = [ladders_of(Baseline.EASE, each, {}, "`config`")[1]["l2"] for each in (few, many)]
    assert l2 == [5, 1000]  # four times the pairs of an item: 1.2 and 300, on the ladder
    unseen = [ladders_of(Baseline.IALS, each, {}, "`config`")[1]["unseen"] for each in (few, many)]
    assert unseen == [0.1, 1.0]  # four times the share of pairs
    assert ladders_of(Baseline.EASE, few, {"l2": 7}, "`config`") == ({"l2": (7,)}, {"l2": 7})
