"""Prepared data: the same input gives the same bytes, and a failure changes nothing."""

import csv
import dataclasses
import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncf.data.interactions import Cases, Interactions
from ncf.data.options import Exclude, Format, Options, SplitKind
from ncf.data.prepare import prepare
from ncf.data.prepared import PreparedData, open_data
from ncf.data.triple import triple_paths
from ncf.errors import RatingsError, UsageError

N_USERS, N_ITEMS = 12, 30
OPTIONS = Options(negatives=10)
RANDOM = Options(split=SplitKind.RANDOM, test_ratio=0.3, negatives=40)


def ratings_csv(folder: Path) -> Path:
    """Write 12 users: the first saw all 30 items, the second one, the others 3 to 12 each."""
    rng = np.random.default_rng(1)
    counts = [N_ITEMS, 1, *(3 + user % 10 for user in range(N_USERS - 2))]
    rows = [
        (f"u{user}", f"i{item}", 1 + int(rng.integers(5)), 1000 + int(rng.integers(10**6)))
        for user, count in enumerate(counts)
        for item in rng.choice(N_ITEMS, count, replace=False).tolist()
    ]
    return write_rows(folder / "ratings.csv", rows)


def write_rows(path: Path, rows: list[tuple[str, str, int, int]]) -> Path:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("user_id", "item_id", "rating", "timestamp"), *rows])
    path.write_text(text.getvalue(), newline="")
    return path


def prepared(
    ratings: Path, out: Path, options: Options = OPTIONS, file_format: Format = Format.CSV
) -> tuple[PreparedData, dict[str, Any]]:
    facts = prepare(ratings, file_format, out, options)
    return open_data(out), facts


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def temporary(parent: Path) -> list[Path]:
    return list(parent.glob(".*.tmp"))


def pairs(data: PreparedData, part: Interactions) -> list[tuple[str, str]]:
    users, items = part.users.tolist(), part.items.tolist()
    return [(data.users.raw[u], data.items.raw[i]) for u, i in zip(users, items, strict=True)]


def items_by_user(*parts: Interactions) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for part in parts:
        for user, item in zip(part.users.tolist(), part.items.tolist(), strict=True):
            found.setdefault(user, set()).add(item)
    return found


def sampled(cases: Cases) -> list[tuple[int, int, list[int]]]:
    """User, positive and negatives of each case."""
    positives = cases.positives
    columns = (positives.users.tolist(), positives.items.tolist(), cases.negatives.tolist())
    return list(zip(*columns, strict=True))


def assert_all_that_is_left(row: list[int], barred: set[int], size: int) -> None:
    """Distinct allowed items, as many as there are up to ``size``, then -1."""
    count = min(size, N_ITEMS - len(barred))
    size = min(size, N_ITEMS)
    assert len(row) == size
    assert len(set(row[:count])) == count
    assert set(row[:count]) <= set(range(N_ITEMS)) - barred
    assert row[count:] == [-1] * (size - count)


@pytest.mark.parametrize("options", [OPTIONS, RANDOM], ids=["leave-one-out", "random"])
def test_the_same_command_writes_the_same_bytes(tmp_path: Path, options: Options) -> None:
    ratings = ratings_csv(tmp_path)
    first, second = (
        prepare(ratings, Format.CSV, tmp_path / out, options) for out in ("a", "deeper/b")
    )
    assert first == second
    assert folder_bytes(tmp_path / "a") == folder_bytes(tmp_path / "deeper" / "b")


def test_preparing_again_replaces_the_folder_with_the_same_bytes(tmp_path: Path) -> None:
    ratings, out = ratings_csv(tmp_path), tmp_path / "out"
    prepare(ratings, Format.CSV, out, OPTIONS)
    before = folder_bytes(out)
    prepare(ratings, Format.CSV, out, OPTIONS)
    assert folder_bytes(out) == before
    assert temporary(tmp_path) == []


def test_another_seed_draws_other_negatives_and_has_another_digest(tmp_path: Path) -> None:
    ratings = ratings_csv(tmp_path)
    first, _ = prepared(ratings, tmp_path / "a")
    second, _ = prepared(ratings, tmp_path / "b", dataclasses.replace(OPTIONS, seed=1))
    assert first.digest != second.digest
    assert not np.array_equal(first.test.negatives, second.test.negatives)
    assert pairs(first, first.test.positives) == pairs(second, second.test.positives)


@pytest.mark.parametrize("options", [OPTIONS, RANDOM], ids=["leave-one-out", "random"])
def test_negatives_are_never_known_items_of_the_user(tmp_path: Path, options: Options) -> None:
    data, _ = prepared(ratings_csv(tmp_path), tmp_path / "out", options)
    known = items_by_user(data.train, data.validation.positives, data.test.positives)
    assert len(data.validation.positives) > 0
    for user, _, row in sampled(data.validation) + sampled(data.test):
        assert_all_that_is_left(row, known[user], options.negatives)


def test_the_looser_protocol_bars_training_items_and_the_own_positive_alone(
    tmp_path: Path,
) -> None:
    options = dataclasses.replace(RANDOM, negatives_exclude=Exclude.TRAIN)
    data, _ = prepared(ratings_csv(tmp_path), tmp_path / "out", options)
    barred = items_by_user(data.train, data.validation.positives)
    tested = items_by_user(data.test.positives)
    others = 0
    for user, own, row in sampled(data.validation) + sampled(data.test):
        # 40 are asked for and fewer are left, so that every item allowed is there.
        assert_all_that_is_left(row, barred.get(user, set()) | {own}, options.negatives)
        others += len(tested.get(user, set()) & set(row))
    assert others > 0


def test_user_who_saw_everything_gets_no_negatives(tmp_path: Path) -> None:
    data, _ = prepared(ratings_csv(tmp_path), tmp_path / "out")
    everything = data.users.index("u0")
    for cases in (data.validation, data.test):
        row = cases.negatives[cases.positives.users == everything]
        assert row.tolist() == [[-1] * OPTIONS.negatives]


@pytest.mark.parametrize("split", sorted(set(SplitKind) - {SplitKind.GIVEN, SplitKind.TIME}))
@pytest.mark.parametrize("exclude", Exclude)
def test_one_user_with_one_item_is_prepared(
    tmp_path: Path, split: SplitKind, exclude: Exclude
) -> None:
    ratings = write_rows(tmp_path / "one.csv", [("u", "i", 5, 1)])
    options = Options(split=split, negatives=3, negatives_exclude=exclude)
    data, facts = prepared(ratings, tmp_path / "out", options)
    assert pairs(data, data.train) == [("u", "i")]
    assert data.validation.negatives.shape == data.test.negatives.shape == (0, 1)
    assert (facts["users"], facts["items"], facts["train"]) == (1, 1, 1)


def test_everything_read_is_in_one_part_or_counted(tmp_path: Path) -> None:
    rows = [("a", "x", 5, 3), ("a", "x", 4, 9), ("a", "x", 5, 1), ("a", "y", 4, 5)]
    rows += [("a", "z", 4, 7), ("b", "x", 1, 1), ("b", "y", 5, 2), ("c", "y", 3, 1)]
    ratings = write_rows(tmp_path / "r.csv", rows)
    options = Options(min_rating=4, negatives=2)
    data, facts = prepared(ratings, tmp_path / "out", options)
    assert facts.pop("digest") == data.digest
    assert facts == {
        "users": 2,
        "items": 3,
        "rows": 8,
        "under_min_rating": 2,
        "duplicates": 2,
        "order": "time",
        "users_without_test_case": 1,
        "items_without_training_pair": 2,
        "train": 2,
        "validation": 1,
        "test": 1,
    }
    assert pairs(data, data.test.positives) == [("a", "x")]  # the latest, at 9
    assert Counter(pairs(data, data.interactions())) == Counter(
        [("a", "x"), ("a", "y"), ("a", "z"), ("b", "y")]
    )


def test_without_timestamps_the_order_is_that_of_the_file(tmp_path: Path) -> None:
    ratings = tmp_path / "r.csv"
    ratings.write_text("user_id,item_id\na,x\na,y\na,z\n")
    data, facts = prepared(ratings, tmp_path / "out", Options(negatives=1))
    assert facts["order"] == "file"
    assert pairs(data, data.test.positives) == [("a", "z")]


def test_raw_ids_and_titles_come_back(tmp_path: Path) -> None:
    ratings = write_rows(tmp_path / "r.csv", [("007", "NA", 5, 1), ("7", "1e5", 5, 2)])
    prepare(ratings, Format.CSV, tmp_path / "out", OPTIONS, titles={"NA": "Up", "other": "Down"})
    data = open_data(tmp_path / "out")
    assert pairs(data, data.train) == [("007", "NA"), ("7", "1e5")]
    assert [data.items.title(index) for index in range(2)] == ["Up", None]


def write_triple(folder: Path) -> Path:
    """Write a triple whose test pair (b,z) stands in training too, and (a,x) twice."""
    prefix = folder / "tiny"
    train = "a\tx\t5\t9\na\ty\t4\t1\na\tx\t5\t2\nb\tz\t3\t1\nb\tw\t3\t2\n"
    test = "b\tz\t5\t7\na\tv\t4\t8\n"
    negative = "(b,z)\tq\tx\n(a,v)\tw\tr\n"
    for path, text in zip(triple_paths(prefix), (train, test, negative), strict=True):
        path.write_text(text)
    return prefix


def test_a_triple_keeps_its_test_cases_and_negatives(tmp_path: Path) -> None:
    prefix = write_triple(tmp_path)
    data, facts = prepared(prefix, tmp_path / "out", Options(negatives=3), Format.NCF)
    assert pairs(data, data.test.positives) == [("b", "z"), ("a", "v")]
    raw = data.items.raw
    assert [[raw[item] for item in row] for row in data.test.negatives.tolist()] == [
        ["q", "x"],
        ["w", "r"],
    ]
    training = pairs(data, data.train.join(data.validation.positives))
    assert sorted(training) == [("a", "x"), ("a", "y"), ("b", "w")]
    assert len(data.validation.positives) == 1  # of a; b has one training pair left
    known = items_by_user(data.interactions())
    for user, _, row in sampled(data.validation):
        assert not known[user] & set(row)
    assert (facts["rows"], facts["duplicates"], facts["test_pairs_in_train"]) == (7, 1, 1)


def test_a_minimum_rating_does_not_apply_to_a_triple(tmp_path: Path) -> None:
    options = Options(min_rating=4)
    with pytest.raises(UsageError, match="`min_rating`"):
        prepare(write_triple(tmp_path), Format.NCF, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


def test_a_bad_file_leaves_the_earlier_folder_as_it_was(tmp_path: Path) -> None:
    ratings, out = ratings_csv(tmp_path), tmp_path / "out"
    prepare(ratings, Format.CSV, out, OPTIONS)
    before = folder_bytes(out)
    ratings.write_bytes(ratings.read_bytes() + b"u1,i1\n")
    with pytest.raises(RatingsError, match="2 fields where 4"):
        prepare(ratings, Format.CSV, out, OPTIONS)
    assert folder_bytes(out) == before
    assert temporary(tmp_path) == []


def test_a_failure_while_writing_leaves_the_earlier_folder_as_it_was(tmp_path: Path) -> None:
    ratings, out = ratings_csv(tmp_path), tmp_path / "out"
    prepare(ratings, Format.CSV, out, OPTIONS)
    before = folder_bytes(out)
    # Titles are written last, and a lone surrogate has no UTF-8.
    with pytest.raises(UnicodeEncodeError):
        prepare(ratings, Format.CSV, out, OPTIONS, titles={"i0": "\ud800"})
    assert folder_bytes(out) == before
    assert temporary(tmp_path) == []


def test_a_bad_file_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RatingsError, match="no such file"):
        prepare(tmp_path / "none.csv", Format.CSV, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()
    assert temporary(tmp_path) == []


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
def test_a_test_ratio_that_is_no_share_is_refused(ratio: float) -> None:
    with pytest.raises(UsageError, match="`test_ratio`"):
        Options(test_ratio=ratio)


@pytest.mark.parametrize("negatives", [0, -1])
def test_fewer_than_one_negative_is_refused(negatives: int) -> None:
    with pytest.raises(UsageError, match="`negatives`"):
        Options(negatives=negatives)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="`seed`"):
        Options(seed=-1)
