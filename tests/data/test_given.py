"""Splits that somebody else made: parts in files, in a column, in frames; and no test part."""

import csv
import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ncf
from ncf.api.data import Data
from ncf.errors import RatingsError, UsageError
from tests.commands import ncf as command

ROWS = [
    ("a", "1", "train"),
    ("a", "2", "train"),
    ("a", "3", "validation"),
    ("a", "4", "test"),
    ("a", "5", "test"),
    ("b", "2", "train"),
    ("b", "3", "train"),
    ("b", "1", "val"),
    ("b", "9", "test"),  # an item that training lacks
    ("new", "1", "Test"),  # a user whom training lacks
    ("b", "2", "train"),  # twice
    ("a", "4", "train"),  # a test pair too
]
EXPECTED = {
    "train": {("a", "1"), ("a", "2"), ("b", "2"), ("b", "3")},
    "validation": {("a", "3"), ("b", "1")},
    "test": {("a", "4"), ("a", "5"), ("b", "9"), ("new", "1")},
}


def _write(path: Path, rows: Sequence[tuple[str, ...]], names: str) -> Path:
    path.write_text("\n".join([names, *(",".join(row) for row in rows)]) + "\n")
    return path


def _parts(data: Data) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for user, item, part in data.frame().itertuples(index=False):
        found[part].add((user, item))
    return dict(found)


@pytest.fixture
def named(tmp_path: Path) -> Path:
    return _write(tmp_path / "r.csv", ROWS, "user_id,item_id,part")


def _by_part(tmp_path: Path) -> dict[str, Path]:
    places = {}
    for name in EXPECTED:
        of_part = [row[:2] for row in ROWS if name.startswith(row[2].lower())]
        (tmp_path / name).mkdir()
        places[name] = _write(tmp_path / name / "rows.csv", of_part, "user,item")
    return places


def test_parts_are_those_of_the_column_of_files_and_of_frames(named: Path, tmp_path: Path) -> None:
    files = _by_part(tmp_path)
    frames = {name: pd.read_csv(path, dtype=str) for name, path in files.items()}
    frame = pd.read_csv(named, dtype=str)
    found = [
        ncf.prepare(named, split="given", out=tmp_path / "column", negatives=2),
        ncf.prepare(frame, split="given", out=tmp_path / "frame", negatives=2),
        ncf.prepare(out=tmp_path / "files", negatives=2, **files),  # type: ignore[arg-type]
        ncf.prepare(out=tmp_path / "frames", negatives=2, **frames),  # type: ignore[arg-type]
    ]
    frame.to_parquet(tmp_path / "r.parquet")
    parquet = tmp_path / "r.parquet"
    found.append(ncf.prepare(parquet, split="given", out=tmp_path / "parquet", negatives=2))
    renamed = frame.rename(columns={"part": "fold"})
    named_part = {"split": "given", "columns": "part=fold"}
    found.append(ncf.prepare(renamed, out=tmp_path / "fold", negatives=2, **named_part))  # type: ignore[arg-type]
    for data in found:
        assert _parts(data) == EXPECTED
        counts = data.figures
        assert (counts["duplicates"], counts["test_pairs_in_train"]) == (1, 1)
        assert counts["order"] == "given"
        assert counts["users_without_training_pair"] == 1
        assert counts["items_without_training_pair"] == 3


def test_without_a_validation_part_one_is_cut_from_training(tmp_path: Path) -> None:
    files = _by_part(tmp_path)
    data = ncf.prepare(out=tmp_path / "d", train=files["train"], test=files["test"], negatives=1)
    found = _parts(data)
    assert found["test"] == EXPECTED["test"]
    assert found["train"] | found["validation"] == EXPECTED["train"]
    assert sorted(user for user, _ in found["validation"]) == ["a", "b"]


def test_another_word_for_a_part_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = _write(tmp_path / "r.csv", [*ROWS, ("c", "1", "dev2")], "user_id,item_id,part")
    with pytest.raises(RatingsError, match=r"r\.csv:14: part 'dev2' is no part; write train"):
        ncf.prepare(path, split="given", out=tmp_path / "d")


def test_what_does_not_fit_a_given_split_is_one_line(named: Path, tmp_path: Path) -> None:
    plain = _write(tmp_path / "plain.csv", [("a", "1")], "user_id,item_id")
    out = str(tmp_path / "d")
    for words, message in (
        (["--ratings", str(plain), "--split", "given"], "no column 'part'"),
        (["--train", str(plain)], "give --train and --test"),
        (["--train", str(plain), "--test", str(plain), "--split", "random"], "--split does not"),
        (["--train", str(plain), "--ratings", str(named)], "give either"),
        ([], "give either"),
    ):
        ended = command("data", "prepare", *words, "--out", out, cwd=tmp_path)
        assert (ended.code, message in ended.err) == (2, True), ended.err
        assert len(ended.err.splitlines()) == 1
    assert not Path(out).exists()


def test_a_column_of_parts_is_no_part_unless_asked_and_one_line_says_how(
    named: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        data = ncf.prepare(named, out=tmp_path / "d", negatives=1)
    assert data.figures["ignored_columns"] == 1
    said = [line for line in caplog.messages if "part" in line and "split" in line]
    assert len(said) == 1
    assert '`split="given"`' in said[0]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        ncf.prepare(named, split="given", out=tmp_path / "g", negatives=1)
    assert [line for line in caplog.messages if '`split="given"`' in line] == []


def test_cold_users_and_items_are_counted_in_a_warning(
    named: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        ncf.prepare(named, split="given", out=tmp_path / "g", negatives=1)
    assert any("1 users and 3 items have all of their inter" in m for m in caplog.messages)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A split of the kind that papers share: several test items a user, some of them cold."""
    rng = np.random.default_rng(5)
    rows = []
    for user in range(30):
        items = rng.permutation(25)[:12]
        parts = ["train"] * 7 + ["validation"] + ["test"] * 4
        rows += [(f"u{user}", f"i{i}", part) for i, part in zip(items, parts, strict=True)]
    rows += [("u1", "never trained", "test"), ("stranger", "i3", "test")]
    return _write(tmp_path / "world.csv", rows, "user_id,item_id,part")


def _by_numpy(path: Path, model: ncf.Model, k: int) -> dict[str, float]:
    """Recall and NDCG at K over all test users, from the file and the model's arrays alone."""
    found = model.checkpoint
    seen: dict[int, set[int]] = defaultdict(set)
    wanted: dict[int, set[int]] = defaultdict(set)
    users = {raw: index for index, raw in enumerate(found.users.raw)}
    items = {raw: index for index, raw in enumerate(found.items.raw)}
    with path.open() as file:
        for row in csv.DictReader(file):
            of_part = wanted if row["part"] == "test" else seen
            of_part[users[row["user_id"]]].add(items[row["item_id"]])
    weights, recall, ndcg = found.weights, [], []
    for user, relevant in wanted.items():
        row = weights["gmf.user.weight"][user] * weights["output.weight"][0]
        scores = weights["gmf.item.weight"] @ row
        scores[list(seen[user])] = -np.inf
        hit = [item in relevant for item in np.argsort(-scores, kind="stable")[:k].tolist()]
        gain = sum(1 / np.log2(rank + 2) for rank, each in enumerate(hit) if each)
        best = sum(1 / np.log2(rank + 2) for rank in range(min(k, len(relevant))))
        recall.append(sum(hit) / len(relevant))
        ndcg.append(gain / best)
    return {"recall": float(np.mean(recall)), "ndcg": float(np.mean(ndcg)), "users": len(recall)}


def test_full_ranking_of_a_given_split_is_that_of_plain_numpy(world: Path, tmp_path: Path) -> None:
    data = ncf.prepare(world, split="given", out=tmp_path / "d", negatives=5)
    quick = {"factors": 4, "gmf_factors": 4, "schedule": {"epochs": 4, "batch_size": 64}}
    model = ncf.train(data, "gmf", out=tmp_path / "c", config=quick)
    found = ncf.evaluate(model, data, k=6).document
    expected = _by_numpy(world, model, 6)
    assert (found["protocol"], found["weights"]) == ("full", "honest")
    assert found["users"] == expected["users"] == 31
    for name in ("recall", "ndcg"):
        assert found["metrics"][0][name] == pytest.approx(expected[name], abs=1e-12)
    assert found["test_users_without_training_pair"] == 1
    assert found["test_items_without_training_pair"] >= 1
    with pytest.raises(UsageError, match='use `protocol="full"`'):
        ncf.evaluate(model, data, protocol="sampled")
    assert ncf.compare([model], data, k=6).document["protocol"] == "full"
    some = ncf.evaluate(model, data, k=6, max_users=7)
    assert (some.document["users"], some.document["users_to_measure"]) == (7, 31)
    assert "7 users (of 31), full" in repr(ncf.compare([model], data, k=6, max_users=7))
    of_seven = ncf.compare([model], data, k=6, max_users=7).document
    assert of_seven["models"][0]["ndcg"]["mean"] == pytest.approx(some.frame().ndcg[0], abs=1e-12)
    for wrong in ({"max_users": 0}, {"max_users": 5, "protocol": "sampled"}):
        with pytest.raises(UsageError, match=r"`max_users`|no sampled items"):
            ncf.evaluate(model, data, **wrong)
    with pytest.raises(UsageError, match="trained on the test rows"):
        ncf.evaluate(model.product, data)
    # The product has learnt of the stranger, and of the item.
    bundle = ncf.export(model, data, out=tmp_path / "store", name="x", screen=False)
    assert not (bundle.path / "cold.npy").exists()
    manifest: dict[str, Any] = json.loads((bundle.path / "bundle.json").read_bytes())
    assert manifest["model"]["weights"] == "product"
    assert manifest["metrics"]["weights"] == "honest"
    assert bundle.recommend(["stranger"], k=1).policy.tolist() == ["model"]
    honest = ncf.train(data, "gmf", out=tmp_path / "h", config=quick, refit=False)
    old = ncf.export(honest, data, out=tmp_path / "store", name="y", screen=False)
    assert old.recommend(["stranger"], k=1).policy.tolist() == ["popular"]


def test_a_split_of_none_has_no_test_part_and_gives_a_product(world: Path, tmp_path: Path) -> None:
    data = ncf.prepare(world, split="none", out=tmp_path / "d", negatives=5)
    assert (data.figures["test"], data.figures["validation"]) == (0, 30)
    quick = {"factors": 4, "gmf_factors": 4, "schedule": {"epochs": 2, "batch_size": 64}}
    model = ncf.train(data, "gmf", out=tmp_path / "c", config=quick)
    assert model.figures["product"]["interactions"] == 30 * 12 + 2
    with pytest.raises(UsageError, match="no case to evaluate"):
        ncf.evaluate(model, data)
    assert len(ncf.export(model, data, out=tmp_path / "store", name="x").recommend("u1", k=3)) == 3
