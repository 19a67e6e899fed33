"""Strangers and refreshed users in batch, server and Python: one list, to the bit."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batch.filters import Filters
from batch.job import Job
from batch.options import Mode
from batch.pipeline import run_batch
from batch.published import read_run
from batch.verify import verify_run
from export.publish import publish
from export.source import Source
from handlers.service import Service
from ncf.api.opening import open_bundle as open_front
from ncf.data.prepared import PreparedData
from ncf.devices import Device
from ncf.errors import ArtifactError, UsageError
from ncf.policies import ColdUser, Strangers
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.training.checkpoint import Checkpoint

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
HISTORIES = {
    "one": ["film 3"],
    "twice": ["film 3", "film 3", "film 99"],
    "some": ["film 2", "film 4", "film 6", "film 9"],
    "most": [f"film {item}" for item in range(28)],
    "nothing": ["film 99"],
}
FRESH = {"u3": ["film 2"], "u8": ["film 1", "film 3", "film 5", "film 7", "film 9"]}


@pytest.fixture(scope="module")
def keen(
    checkpoint: Checkpoint, data: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """The exported NeuMF, which folds in from one item on."""
    store = tmp_path_factory.mktemp("keen")
    publish(Source(checkpoint, data, min_history=1), store, "ncf")
    return open_bundle(store / "ncf")


@pytest.fixture(scope="module")
def tonight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tonight") / "seen.csv"
    both = {**HISTORIES, **FRESH}
    rows = [f"{user},{item}" for user, items in both.items() for item in items]
    path.write_text("\n".join(["user_id,item_id", *rows]) + "\n")
    return path


def run(
    bundle: Bundle,
    folder: Path,
    **options: Any,  # noqa: ANN401 - of a job and its filters
) -> tuple[dict[str, Any], pd.DataFrame]:
    filters = Filters(**{name: options.pop(name) for name in [*options] if name in FILTERS})
    job = Job(bundle.path, folder, 4, Device.CPU, filters=filters, **options)
    found = run_batch(job, NOW)
    assert verify_run(found["table"], bundle.path, filters)["rows"] == found["rows"]
    return found, read_run(Path(found["table"])).reset_index(drop=True)


FILTERS = {"seen", "users", "exclude_pairs", "refresh", "strangers"}


def test_strangers_get_their_own_lists_to_the_bit_everywhere(
    keen: Bundle, tonight: Path, tmp_path: Path
) -> None:
    found, table = run(keen, tmp_path / "a", seen=tonight)
    assert found["users_by_policy"] == {"model": 40, "popular": 1, "history": 4}
    assert table.user_id.drop_duplicates().tolist()[40:] == list(HISTORIES)
    for shape in ({"shard_users": 3, "workers": 2}, {"shard_users": 41, "workers": 1}):
        again = run(keen, tmp_path / str(shape["workers"]), seen=tonight, **shape)[1]
        pd.testing.assert_frame_equal(again, table)
    python = open_front(keen.path).recommend(history=HISTORIES, k=4)
    pd.testing.assert_frame_equal(
        python.drop(columns="title").astype({"rank": "int16", "score": "float32"}),
        table[table.user_id.isin(HISTORIES)][python.columns.drop("title")].reset_index(drop=True),
    )
    with Service(keen.path, lanes=2) as service:
        bodies = [{"user": user, "history": items, "k": 4} for user, items in HISTORIES.items()]
        answers, _ = service.answer([{"body": body} for body in bodies])
    for body, answer in zip(bodies, answers, strict=True):
        said, rows = json.loads(answer.body), table[table.user_id == body["user"]]
        assert said["policy"] == rows.policy.iloc[0] == answer.policy
        assert [each["item"] for each in said["items"]] == rows.item_id.tolist()
        scores = [np.float32(each.get("score", np.nan)) for each in said["items"]]
        np.testing.assert_array_equal(scores, rows.score)


def test_the_server_counts_the_items_of_a_history(keen: Bundle) -> None:
    with Service(keen.path) as service:
        bodies: list[dict[str, object]] = [
            {"history": HISTORIES["twice"]},
            {"history": []},
            {"user": "u3", "history": FRESH["u3"]},
            {"user": "u3", "history": ["film 99"]},
            {"user": "new", "history": "film 3"},
            {"user": ""},
        ]
        answers, _ = service.answer([{"body": body} for body in bodies])
    said = [json.loads(answer.body) for answer in answers]
    assert "user" not in said[0]
    assert (said[0]["policy"], said[0]["history"]) == ("history", {"known": 1, "unknown": 1})
    assert "film 3" not in [each["item"] for each in said[0]["items"]]
    assert (said[1]["policy"], said[1]["history"]) == ("popular", {"known": 0, "unknown": 0})
    assert (said[2]["policy"], said[2]["refreshed"]) == ("model", True)
    assert (said[3]["policy"], said[3]["refreshed"]) == ("model", False)
    assert "must be a list" in said[4]["error"]["message"]
    assert answers[5].status == 200
    assert said[5]["policy"] == "popular"


def test_rows_of_known_users_move_with_their_interactions(
    keen: Bundle, tonight: Path, tmp_path: Path
) -> None:
    stale = run(keen, tmp_path / "stale", seen=tonight)[1]
    found, table = run(keen, tmp_path / "fresh", seen=tonight, refresh=True)
    assert found["refreshed_users"] == 2
    changed = {
        user
        for user, rows in table.groupby("user_id")
        if not rows.equals(stale[stale.user_id == user])
    }
    assert changed == {"u3", "u8"}
    assert set(table[table.user_id.isin(changed)].policy) == {"model"}
    python = open_front(keen.path).recommend(["u3", "u8"], k=4, history=FRESH)
    rows = table[table.user_id.isin(changed)].sort_values(["user_id", "rank"])
    assert python.item_id.tolist() == rows.item_id.tolist()
    np.testing.assert_array_equal(python.score.astype(np.float32), rows.score)


def test_a_run_without_strangers_keeps_its_bytes(
    keen: Bundle, checkpoint: Checkpoint, data: PreparedData, tmp_path: Path
) -> None:
    publish(Source(checkpoint, data, fold_in=False), tmp_path / "store", "ncf")
    before = open_bundle(tmp_path / "store" / "ncf")
    assert not before.folds_in
    parts = []
    for bundle, name in ((keen, "a"), (before, "b")):
        found, _ = run(bundle, tmp_path / name)
        assert found["users_by_policy"] == {"model": 40, "popular": 0}
        parts.append((Path(found["table"]) / "part-00000.parquet").read_bytes())
    assert parts[0] == parts[1]


def test_what_must_not_be_listed_is_no_history(keen: Bundle, tmp_path: Path) -> None:
    (tmp_path / "no.csv").write_text("user_id,item_id\nu3,film 1\nzoe,film 2\nzoe,film 4\n")
    plain = run(keen, tmp_path / "plain")[1]
    best = plain[plain.user_id == "u3"].item_id.iloc[0]
    (tmp_path / "no.csv").write_text(f"user_id,item_id\nu3,{best}\nzoe,film 2\n")
    found, table = run(keen, tmp_path / "topk", exclude_pairs=tmp_path / "no.csv")
    assert found["users_by_policy"] == {"model": 40, "popular": 0}
    assert best not in set(table[table.user_id == "u3"].item_id)
    assert (
        table[table.user_id == "u3"].item_id.tolist()[:3]
        == (plain[plain.user_id == "u3"].item_id.tolist()[1:])
    )
    assert found["exclude_pairs_rows"] == 2


def test_a_bundle_that_refuses_strangers_takes_those_with_a_history(
    checkpoint: Checkpoint, data: PreparedData, tonight: Path, tmp_path: Path
) -> None:
    publish(Source(checkpoint, data, ColdUser.ERROR, min_history=3), tmp_path, "strict")
    bundle = open_bundle(tmp_path / "strict")
    found, table = run(bundle, tmp_path / "topk", seen=tonight)
    assert found["users_by_policy"] == {"model": 40, "popular": 0, "history": 2}
    assert set(table.user_id) - set(bundle.users.raw) == {"some", "most"}
    lenient = run(bundle, tmp_path / "all", seen=tonight, strangers=Strangers.POPULAR)[0]
    assert lenient["users_by_policy"] == {"model": 40, "popular": 3, "history": 2}


def test_screened_runs_prove_the_lists_of_strangers_too(
    wide_checkpoint: Checkpoint, wide_data: PreparedData, tmp_path: Path
) -> None:
    publish(Source(wide_checkpoint, wide_data, min_history=1), tmp_path, "wide")
    bundle = open_bundle(tmp_path / "wide")
    rng = np.random.default_rng(0)
    rows = [f"s{user},i{item}" for user in range(200) for item in rng.integers(0, 1000, 8)]
    (tmp_path / "seen.csv").write_text("\n".join(["user_id,item_id", *rows]) + "\n")
    options: dict[str, Any] = {"seen": tmp_path / "seen.csv", "recall": 0.9}
    found, table = run(bundle, tmp_path / "topk", mode=Mode.SCREENED, **options)
    assert found["mode"] == "screened"
    assert found["users_by_policy"]["history"] == 200
    assert found["recall"]["population"] == 440 * 1000
    exact = run(bundle, tmp_path / "exact", mode=Mode.EXACT, seen=tmp_path / "seen.csv")[1]
    pairs = [set(zip(each.user_id, each.item_id, strict=True)) for each in (table, exact)]
    assert len(pairs[0] & pairs[1]) >= 0.9 * len(pairs[1])


def test_refresh_needs_interactions_and_a_bundle_that_folds_in(
    keen: Bundle, checkpoint: Checkpoint, data: PreparedData, tonight: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="give `seen`"):
        run(keen, tmp_path, refresh=True)
    publish(Source(checkpoint, data, fold_in=False), tmp_path, "old")
    with pytest.raises(UsageError, match=r"folds in, and this one does not \(not asked for"):
        run(open_bundle(tmp_path / "old"), tmp_path / "t", seen=tonight, refresh=True)


def test_a_policy_that_is_not_the_users_is_found(
    keen: Bundle, tonight: Path, tmp_path: Path
) -> None:
    found, _ = run(keen, tmp_path / "topk", seen=tonight)
    other = Filters(seen=tonight, strangers=Strangers.POPULAR)
    with pytest.raises((ArtifactError, UsageError)):
        verify_run(found["table"], keen.path, Filters(users=tonight))
    assert verify_run(found["table"], keen.path, other)["users"] == 45
