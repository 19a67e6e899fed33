"""Figures beyond hits, each against itself written the slow way."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ncf
from ncf.evaluation import beyond_accuracy
from ncf.evaluation.beyond_accuracy import Catalogue, gini
from ncf.evaluation.full_ranking import Panel, full
from ncf.evaluation.lists import Lists, Users, worth
from ncf.evaluation.segments import by_history
from tests.api.conftest import QUICK
from tests.commands import done
from tests.evaluation.worlds import data_of

N_USERS, N_ITEMS = 15, 9


def _random_pairs(seed: int) -> set[tuple[int, int]]:
    dense = np.random.default_rng(seed).random((N_USERS, N_ITEMS - 1)) < 0.3  # the last is nobody's
    return {(int(u), int(i)) for u, i in np.argwhere(dense)}


@settings(max_examples=80, deadline=None)
@given(
    hits=st.lists(st.booleans(), min_size=1, max_size=8), n=st.integers(1, 12), k=st.integers(1, 8)
)
def test_map_and_r_precision_are_loops_over_ranks(hits: list[bool], n: int, k: int) -> None:
    n = max(n, sum(hits))
    listed = hits[:k]
    most = min(n, k)
    precisions = [sum(listed[: r + 1]) / (r + 1) for r in range(len(listed)) if listed[r]]
    found = worth(np.array([hits]), np.array([n]), k)
    assert found["map"][0] == pytest.approx(sum(precisions) / most)
    assert found["r_precision"][0] == pytest.approx(sum(listed[:most]) / most)


@pytest.mark.parametrize("seed", range(3))
def test_similarity_is_the_mean_cosine_of_all_couples(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beyond_accuracy, "_LISTS_AT_ONCE", 4)
    train = _random_pairs(seed)
    catalogue = Catalogue.of(data_of(train, [], N_USERS, N_ITEMS).train)
    x = np.zeros((N_USERS, N_ITEMS))
    x[tuple(np.array(sorted(train)).T)] = 1
    rng = np.random.default_rng(seed)
    lists = np.stack([rng.permutation(N_ITEMS)[:5] for _ in range(10)])
    lists[2, 3:] = -1
    lists[3, 1:] = -1
    lists[4] = -1
    expected = []
    for row in lists.tolist():
        items = [item for item in row if item >= 0]
        cosines = []
        for one, other in combinations(items, 2):
            lengths = np.linalg.norm(x[:, one]) * np.linalg.norm(x[:, other])
            cosines.append(float(x[:, one] @ x[:, other] / lengths) if lengths else 0.0)
        expected.append(float(np.mean(cosines)) if cosines else 0.0)
    np.testing.assert_allclose(catalogue.similarity(lists), expected, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=12))
def test_gini_is_half_the_relative_mean_difference(counts: list[int]) -> None:
    array = np.array(counts)
    apart = np.abs(array[:, None] - array[None]).mean()
    expected = apart / (2 * array.mean()) if array.sum() else 0.0
    assert gini(array) == pytest.approx(expected)


def test_popularity_of_lists_is_compared_with_that_of_histories() -> None:
    # Item 0 is everybody's, 1 and 2 have one user each; all are listed item 0 or item 3.
    train = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 2)]
    data = data_of(train, [(0, 3), (1, 3), (2, 3)], 3, 4)

    def always(users: Users, k: int) -> Lists:
        del k
        return np.full((users.size, 1), 3, np.int64)

    row = full(always, data, Panel.of(data), [1]).metrics[0]
    assert row["popularity"] == 0
    shares = [(1 + 1 / 3) / 2, (1 + 1 / 3) / 2, 1.0]
    assert row["history_popularity"] == pytest.approx(np.mean(shares))
    assert row["popularity_lift"] == -1
    assert row["gini"] == 0.75, "one of four items takes all places"


def test_segments_hold_every_user_once() -> None:
    lengths = np.array([0, 1, 4, 5, 9, 10, 199, 200, 5000])
    users = np.repeat(np.arange(9), 2)
    values = {"hr": np.linspace(0, 1, 18), "ndcg": np.ones(18)}
    rows = by_history(values, users, lengths)
    names = [row["history"] for row in rows]
    assert names == ["cold", "1-4", "5-9", "10-19", "100-199", "200+"]
    assert [row["users"] for row in rows] == [1, 2, 2, 1, 1, 2]
    assert sum(row["cases"] * row["hr"] for row in rows) == pytest.approx(values["hr"].sum())
    assert "recall" not in rows[0]


def test_the_command_prints_segments_and_json_has_them(data_folder: Path, tmp_path: Path) -> None:
    ncf.train(data_folder, "gmf", out=tmp_path / "gmf", config=QUICK, refit=False)
    words = ["evaluate", "--checkpoint", tmp_path / "gmf", "--data", data_folder, "-k", "5"]
    for protocol in ("sampled", "full"):
        printed = done(*words, "--protocol", protocol, cwd=tmp_path)
        assert f"training items  users  HR@5 ({protocol})" in printed
        document = json.loads(done(*words, "--protocol", protocol, "--json", cwd=tmp_path))
        rows = document["segments"]
        assert sum(row["users"] for row in rows) == document["users"]
        mean = sum(row["cases"] * row["hr"] for row in rows) / sum(row["cases"] for row in rows)
        assert mean == pytest.approx(document["metrics"][0]["hr"])
    assert {"map", "r_precision", "gini", "similarity"} < set(document["metrics"][0])
    frame = ncf.evaluate(tmp_path / "gmf", data_folder, k=[1, 5]).segments()
    assert set(frame.k) == {1, 5}
