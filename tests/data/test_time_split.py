"""A split at one moment for all users: nothing later than it leaks into training."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ncf
from ncf.data.interactions import Interactions
from ncf.data.prepared import PreparedData, open_data
from ncf.errors import UsageError
from ncf.training.negative_items import negative_items
from tests.api.conftest import QUICK
from tests.commands import done, refused

Row = tuple[str, str, int]
MARCH, DAY = 888710400, 86400  # 1998-03-01


def _written(folder: Path, rows: list[Row]) -> Path:
    with (folder / "r.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("user_id", "item_id", "timestamp"), *rows])
    return folder / "r.csv"


def _pairs(data: PreparedData, part: Interactions) -> set[tuple[str, str]]:
    users, items = part.users.tolist(), part.items.tolist()
    return {(data.users.raw[u], data.items.raw[i]) for u, i in zip(users, items, strict=True)}


def _rows(late: int = 8) -> list[Row]:
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"i{item}", MARCH - DAY * int(rng.integers(1, 300)))
        for user in range(20)
        for item in rng.permutation(12)[:6].tolist()
    ]
    return rows + [(f"u{user}", "from tomorrow", MARCH + DAY * user) for user in range(late)]


def test_an_item_of_the_future_is_in_the_test_part_and_nowhere_in_training(tmp_path: Path) -> None:
    ratings = _written(tmp_path, _rows())
    words = ["data", "prepare", "--ratings", ratings, "--split", "time", "--negatives", "5"]
    printed = done(*words, "--test-from", "1998-03-01", "--out", "d", cwd=tmp_path)
    assert "1998-03-01T00:00:00+00:00" in printed
    data = open_data(tmp_path / "d")
    planted = data.items.index("from tomorrow")
    assert planted not in data.train.items
    assert planted not in data.validation.positives.items
    assert set(data.test.positives.items.tolist()) == {planted}
    assert planted not in negative_items(data.train), "no user is taught to dislike it"
    model = ncf.train(tmp_path / "d", "gmf", out=tmp_path / "gmf", config=QUICK, refit=False)
    learned = model.checkpoint.learned()
    assert learned is not None
    assert planted not in learned.part(everything=False).items
    popular = ncf.train(tmp_path / "d", "popular", out=tmp_path / "popular", refit=False)
    assert popular.checkpoint.weights["gmf.item.weight"][planted, 0] == 0


def test_training_is_the_same_whatever_comes_later(tmp_path: Path) -> None:
    """Even who repeats an item later, and which items are taken later, changes nothing."""
    rows, again = _rows(), _rows(2)
    user, item, _ = rows[0]
    again += [(user, item, MARCH + 5), ("u3", "another", MARCH + 9)]
    parts = []
    for number, each in enumerate((rows, again)):
        folder = tmp_path / str(number)
        folder.mkdir()
        ratings = _written(folder, each)
        ncf.prepare(ratings, out=folder / "d", split="time", test_from="1998-03-01", negatives=5)
        data = open_data(folder / "d")
        parts.append([_pairs(data, part) for part in (data.train, data.validation.positives)])
        if number:
            assert data.manifest.counts.test_pairs_in_train == 1
            assert (user, item) not in _pairs(data, data.test.positives)
    assert parts[0] == parts[1]


@settings(max_examples=40, deadline=None)
@given(
    times=st.lists(st.integers(1, 12), min_size=8, max_size=60),
    share=st.floats(0.05, 0.6),
    seed=st.integers(0, 99),
)
@example(times=[1] * 6 + [2] * 5, share=0.5, seed=0)  # 5.5 rows
def test_every_training_pair_is_earlier_than_every_test_pair(
    times: list[int], share: float, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(seed)
    rows = [(f"u{rng.integers(5)}", f"i{rng.integers(9)}", 1000 + each) for each in times]
    folder = tmp_path_factory.mktemp("share")
    try:
        made = ncf.prepare(
            _written(folder, rows), out=folder / "d", split="time", test_ratio=share, negatives=2
        )
    except UsageError:  # all at one time, or no training pair left
        return
    data = open_data(made.path)
    cut = data.manifest.counts.test_from
    assert cut is not None
    earlier = {(user, item) for user, item, time in rows if time * 1000 < cut}
    later = {(user, item) for user, item, time in rows if time * 1000 >= cut}
    known = _pairs(data, data.train) | _pairs(data, data.validation.positives)
    assert known == earlier
    assert _pairs(data, data.test.positives) == later - earlier
    assert len([time for *_, time in rows if time * 1000 >= cut]) >= round(share * len(rows))
    times_of = {
        (user, item): time
        for user, item, time in sorted(rows, key=lambda row: row[2])
        if time * 1000 < cut
    }
    for user, item in _pairs(data, data.validation.positives):
        mine = [time for (other, _), time in times_of.items() if other == user]
        assert times_of[user, item] == max(mine), "the latest of the user"


def test_what_cannot_be_split_by_time_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text("user_id,item_id\na,x\na,y\nb,x\n")
    ratings = _written(tmp_path, _rows())
    words = ["data", "prepare", "--out", "d", "--split", "time"]
    line = refused(*words, "--ratings", "plain.csv", cwd=tmp_path)
    assert "--split time needs a column of timestamps" in line
    line = refused(*words, "--ratings", ratings, "--test-from", "2030-01-01", cwd=tmp_path)
    assert "no interaction is later than 2030-01-01T00:00:00+00:00: the first is of 1997" in line
    line = refused(*words, "--ratings", ratings, "--test-from", "soon", cwd=tmp_path)
    assert "--test-from 'soon' is no moment; give a date such as 1998-03-01" in line
    line = refused(*words[:4], "--ratings", ratings, "--test-from", "1998-03-01", cwd=tmp_path)
    assert "--test-from" in line
    assert "give --split time" in line
