"""The fit of the map that folds in, and the promise that a bundle makes."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import ncf
from export.fold_in.promise import Trial, shortest
from ncf.data.prepared import PreparedData
from ncf.graphs.fold_in import TAIL, Doubles, features, fold_in_graph
from ncf.graphs.fold_in_fit import normal_equations, shortened
from ncf.scoring.bundle import open_bundle
from ncf.scoring.fold_in import FoldIn
from ncf.scoring.fold_in_manifest import FoldInFacts
from ncf.scoring.sessions import open_cpu

USERS, ITEMS, VECTOR, WIDTH = 60, 25, 4, 3
RNG = np.random.default_rng(2)
VECTORS = RNG.normal(size=(ITEMS, VECTOR)).astype(np.float32)
HISTORY = sparse.csr_array(RNG.random((USERS, ITEMS)) < 0.3).astype(np.int8)
ROWS = RNG.normal(size=(USERS, WIDTH)).astype(np.float32)
ROWS[:, 0] = 0.7


def _solved(
    history: sparse.csr_array, rows: "np.ndarray[tuple[int, int], np.dtype[np.float32]]"
) -> Doubles:
    return normal_equations(VECTORS, rows, history, np.random.default_rng(3)).solve()


def test_the_map_is_the_ridge_regression_of_whole_histories_and_parts() -> None:
    rng, xs, ys = np.random.default_rng(3), [], []
    counts = np.diff(HISTORY.indptr)
    for part in range(5):
        kept = HISTORY.astype(np.float64)
        if part:
            sizes = np.exp(rng.random(USERS) * np.log1p(counts)).astype(np.int64)
            sizes[rng.random(USERS) < 0.02] = 0
            kept = shortened(HISTORY, np.minimum(sizes, counts), rng)
        xs.append(features(kept @ VECTORS.astype(np.float64), np.diff(kept.indptr)))
        ys.append(ROWS.astype(np.float64))
    x, y = np.concatenate(xs), np.concatenate(ys)
    size = np.sqrt((x**2).sum(axis=0))
    ridge = np.full(size.size, 1e-3)
    ridge[-TAIL:] = 1e-6
    # The same problem as least squares, with a row for each penalty.
    padded = np.vstack([x / size, np.diag(np.sqrt(ridge))])
    aim = np.vstack([y, np.zeros((size.size, WIDTH))])
    expected = np.linalg.lstsq(padded, aim, rcond=None)[0] / size[:, None]
    np.testing.assert_allclose(_solved(HISTORY, ROWS)[:, 1:], expected[:, 1:], rtol=1e-6, atol=1e-9)


@given(st.lists(st.integers(0, ITEMS - 1), max_size=30))
def test_a_column_that_all_rows_share_is_reproduced_to_the_bit(history: list[int]) -> None:
    matrix = _solved(HISTORY, ROWS).astype(np.float32)
    fold_in = FoldIn(open_cpu(fold_in_graph(VECTORS, matrix), 1), ITEMS)
    pairs = np.array([(0, item) for item in history], np.int64).reshape(-1, 2)
    assert fold_in.rows(pairs, 1)[0, 0] == np.float32(0.7)


def test_equations_of_groups_can_be_added_and_taken_away() -> None:
    def of(rows: slice) -> Doubles:
        return _solved(sparse.csr_array(HISTORY[rows]), ROWS[rows])

    parts = [
        normal_equations(
            VECTORS, ROWS[rows], sparse.csr_array(HISTORY[rows]), np.random.default_rng(3)
        )
        for rows in (slice(0, 20), slice(20, USERS))
    ]
    np.testing.assert_allclose(
        (parts[0] + parts[1] - parts[1]).solve(), of(slice(0, 20)), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("worth", "least"), [({1: 0.3}, 1), ({3: 0.2}, 3), ({10: 0.2}, 10), ({}, None)]
)
def test_the_shortest_history_is_the_first_that_is_worth_the_popular_items(
    worth: dict[int, float], least: int | None
) -> None:
    class Tried:
        def __init__(self) -> None:
            self.popular = {"full": np.array([0.1, 0.3])}

        def folded(self, length: int) -> int:
            return length

        def full(self, length: int) -> Doubles:
            return np.array([max((v for n, v in worth.items() if n <= length), default=0.1)])

    assert shortest(cast("Trial", Tried())) == least


def test_the_promise_states_more_than_was_measured(
    data: PreparedData, data_folder: Path, tmp_path: Path
) -> None:
    recipe = {"gmf_factors": 6, "schedule": {"epochs": 12}}
    model = ncf.train(data_folder, "gmf", out=tmp_path / "c", config=recipe, refit=False)
    facts = ncf.export(model, data_folder, out=tmp_path / "s", min_history=1).path
    found = open_bundle(facts).manifest.fold_in
    assert isinstance(found, FoldInFacts)
    assert {(each.protocol, each.history) for each in found.promise} == {
        (protocol, n) for protocol in ("full", "sampled") for n in (1, 3, 10, None)
    }
    whole = {
        each.protocol: each.trained - each.folded for each in found.promise if each.history is None
    }
    for each in found.promise:
        measured = each.trained - each.folded
        more = 0.25 * max(measured, 0) + max(whole[each.protocol], 0)
        assert each.loss == pytest.approx(measured + more, abs=1e-5)
        assert each.users == len(data.users)
    alone = [each for each in found.promise if (each.protocol, each.history) == ("full", None)]
    assert alone[0].folded > alone[0].popular
