"""Files that shape the table, against an oracle that knows no index."""

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.filters import Filters
from batch.job import Job
from batch.pipeline import finish, run_batch
from batch.published import read_latest
from batch.verify import verify_run
from ncf.data.prepared import PreparedData
from ncf.devices import Device
from ncf.errors import RatingsError, UsageError
from ncf.graphs.initializers import read_initializers
from ncf.policies import ColdUser, Strangers
from ncf.scoring.bundle import FOLD_IN_GRAPH, Bundle
from ncf.scoring.fold_in_manifest import FoldInFacts
from ncf.training.checkpoint import Checkpoint
from tests.oracles import numpy_folded, numpy_logit

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
Row = tuple[str, int, str, str]

some_users = st.sampled_from([*(f"u{number}" for number in range(0, 40, 9)), "zoe", "007", "NA"])
some_items = st.sampled_from([*(f"film {number}" for number in range(30)), "film 99", "7"])


def _write(folder: Path, name: str, columns: dict[str, list[str]], *, parquet: bool) -> Path:
    frame = pd.DataFrame(columns, dtype="string")
    path = folder / f"{name}.{'parquet' if parquet else 'csv'}"
    if parquet:
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


class Oracle:
    """The table by brute force, raw ids all the way."""

    def __init__(self, bundle: Bundle, checkpoint: Checkpoint, data: PreparedData) -> None:
        self.users, self.items = list(data.users.raw), list(data.items.raw)
        known = data.interactions()
        self.seen = {
            (self.users[user], self.items[item])
            for user, item in zip(known.users.tolist(), known.items.tolist(), strict=True)
        }
        self.scores = {
            (user, item): numpy_logit(checkpoint.weights, u, i)
            for u, user in enumerate(self.users)
            for i, item in enumerate(self.items)
        }
        self.popular = [self.items[index] for index in bundle.popular.tolist()]
        facts = bundle.manifest.fold_in
        assert isinstance(facts, FoldInFacts)
        self.least, self.weights = facts.min_history, checkpoint.weights
        (self.matrix,) = read_initializers(bundle.path / FOLD_IN_GRAPH, ("map",)).values()

    def best(
        self, user: str, k: int, seen: set[tuple[str, str]], allowed: set[str]
    ) -> tuple[str, list[str]]:
        """Policy and items of a user."""
        wanted = [i for i in self.items if i in allowed and (user, i) not in seen | self.seen]
        # The model's own order of ties: by index.
        place = {item: index for index, item in enumerate(self.items)}
        if user not in self.users:
            if len({item for one, item in seen if one == user and item in place}) < self.least:
                return "popular", [item for item in self.popular if item in wanted][:k]
            scores = self.scores_of(user, seen)
            wanted.sort(key=lambda item: (-scores[item], place[item]))
            return "history", wanted[:k]
        wanted.sort(key=lambda item: (-self.scores[user, item], place[item]))
        return "model", wanted[:k]

    def scores_of(self, user: str, seen: set[tuple[str, str]]) -> dict[str, float]:
        """Logit of every item, for a trained user or one who is known by a history."""
        if user in self.users:
            return {item: self.scores[user, item] for item in self.items}
        place = {item: index for index, item in enumerate(self.items)}
        history = {place[item] for one, item in seen if one == user and item in place}
        logits = numpy_folded(self.weights, self.matrix, history)
        return dict(zip(self.items, logits, strict=True))


@pytest.fixture(scope="module")
def oracle(bundle: Bundle, checkpoint: Checkpoint, data: PreparedData) -> Oracle:
    return Oracle(bundle, checkpoint, data)


@settings(max_examples=25, deadline=None)
@given(
    seen=st.none() | st.lists(st.tuples(some_users, some_items), max_size=30),
    users=st.none() | st.lists(some_users, min_size=1, max_size=8),
    excluded=st.none() | st.lists(some_items, max_size=25, unique=True),
    candidates=st.none() | st.lists(some_items, min_size=1, max_size=12, unique=True),
    strangers=st.sampled_from(Strangers),
    k=st.integers(1, 35),
    shard_users=st.integers(1, 50),
    parquet=st.booleans(),
)
def test_any_filters_k_and_shards_give_what_brute_force_gives(
    seen: list[tuple[str, str]] | None,
    users: list[str] | None,
    excluded: list[str] | None,
    candidates: list[str] | None,
    strangers: Strangers,
    k: int,
    shard_users: int,
    parquet: bool,  # noqa: FBT001 - hypothesis passes it by name
    oracle: Oracle,
    bundle: Bundle,
) -> None:
    allowed = set(oracle.items if candidates is None else candidates) & set(oracle.items)
    allowed -= set(excluded or [])
    unknown = {user for user, _ in seen or []} if users is None else set(users)
    unknown -= set(oracle.users)
    asked = set(oracle.users) if users is None else set(users) & set(oracle.users)
    known = {user: {item for one, item in seen or [] if one == user} for user in unknown}
    folded = {user for user in unknown if len(known[user] & set(oracle.items)) >= oracle.least}
    served = asked | folded | (unknown if strangers is Strangers.POPULAR else set())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        columns: dict[str, dict[str, list[str]] | None] = {
            "seen": None if seen is None else _turn(seen),
            "users": None if users is None else {"user_id": users},
            "exclude_items": None if excluded is None else {"item_id": excluded},
            "candidates": None if candidates is None else {"item_id": candidates},
        }
        files = {
            name: _write(folder, name, each, parquet=parquet)
            for name, each in columns.items()
            if each is not None
        }
        filters = Filters(
            files.get("seen"),
            files.get("users"),
            files.get("exclude_items"),
            files.get("candidates"),
            strangers,
        )
        job = Job(bundle.path, folder / "topk", k, Device.CPU, shard_users, filters=filters)
        if not allowed or not served:
            with pytest.raises(UsageError):
                run_batch(job, NOW)
            return
        figures = run_batch(job, NOW)
        verify_run(figures["table"], bundle.path, filters)
        table = read_latest(folder / "topk")
    assert figures["users"] == len(served)
    assert figures["unknown_users"] == len(unknown)
    by_policy = {"model": len(asked), "popular": len(served - asked - folded)}
    by_policy |= {"history": len(folded)} if folded else {}
    assert figures["users_by_policy"] == by_policy
    lists = dict(iter(table.groupby("user_id", sort=False)))
    for user in served:
        policy, expected = oracle.best(user, k, set(seen or []), allowed)
        if not expected:
            assert user not in lists
            continue
        rows = lists.pop(user)
        assert set(rows.policy) == {policy}
        assert rows["rank"].tolist() == list(range(1, len(expected) + 1))
        if policy == "popular":
            assert rows.item_id.tolist() == expected
            assert rows.score.isna().all()
        else:  # equal up to ties
            of_user = oracle.scores_of(user, set(seen or []))
            scores = [of_user[item] for item in expected]
            np.testing.assert_allclose(rows.score, scores, atol=2e-5)
            assert [of_user[item] for item in rows.item_id] == pytest.approx(scores, abs=4e-5)
            assert not {(user, item) for item in rows.item_id} & (oracle.seen | set(seen or []))
            assert set(rows.item_id) <= allowed
    assert not lists


def _turn(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    return {"user_id": [user for user, _ in pairs], "item_id": [item for _, item in pairs]}


def _job(bundle: Bundle, folder: Path, filters: Filters) -> Job:
    return Job(bundle.path, folder / "topk", 5, Device.CPU, filters=filters)


def _only(option: str, path: Path) -> Filters:
    given: dict[str, Any] = {option: path}
    return Filters(**given)


def test_a_quiet_night_has_a_header_alone(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "seen.csv").write_text("user_id,item_id\n")
    figures = run_batch(_job(bundle, tmp_path, Filters(seen=tmp_path / "seen.csv")), NOW)
    assert (figures["seen_rows"], figures["users"]) == (0, 40)


@pytest.mark.parametrize("columns", [{"user_id": [], "item_id": []}, {}])
def test_a_quiet_night_in_parquet_has_any_type(
    columns: dict[str, list[str]], bundle: Bundle, tmp_path: Path
) -> None:
    frame = pd.DataFrame(columns, columns=["user_id", "item_id"])
    frame.to_parquet(tmp_path / "seen.parquet")
    filters = Filters(seen=tmp_path / "seen.parquet", exclude_items=tmp_path / "seen.parquet")
    assert run_batch(_job(bundle, tmp_path, filters), NOW)["users"] == 40


def test_a_stranger_must_not_get_the_most_popular_items_and_gets_the_next(
    bundle: Bundle, tmp_path: Path
) -> None:
    popular = [bundle.items.raw[index] for index in bundle.popular.tolist()]
    rows = [f"zoe,{item}\n" for item in popular[:5]]
    (tmp_path / "returned.csv").write_text("user_id,item_id\n" + "".join(rows))
    (tmp_path / "users.csv").write_text("user_id\nzoe\n")
    filters = Filters(users=tmp_path / "users.csv", exclude_pairs=tmp_path / "returned.csv")
    run_batch(_job(bundle, tmp_path, filters), NOW)
    table = read_latest(tmp_path / "topk")
    assert table[table.user_id == "zoe"].item_id.tolist() == popular[5:10]


def test_ids_of_another_world_are_warned_of(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "items.csv").write_text("item_id\n12\n13\n")
    run_batch(_job(bundle, tmp_path, Filters(exclude_items=tmp_path / "items.csv")), NOW)
    assert "knows none of its items" in caplog.text


def test_ids_that_are_numbers_in_parquet_are_the_same_ids(bundle: Bundle, tmp_path: Path) -> None:
    pd.DataFrame({"user_id": [12, 7, 12]}).to_parquet(tmp_path / "users.parquet")
    run_batch(_job(bundle, tmp_path, Filters(users=tmp_path / "users.parquet")), NOW)
    assert list(dict.fromkeys(read_latest(tmp_path / "topk").user_id)) == ["12", "7"]


def test_strangers_are_left_out_where_the_bundle_refuses_them(
    bundle: Bundle, tmp_path: Path
) -> None:
    from batch.audience import read_audience  # noqa: PLC0415 - beside its use

    (tmp_path / "users.csv").write_text("user_id\nu1\nzoe\n")
    filters = Filters(users=tmp_path / "users.csv")
    strict = replace(bundle, manifest=replace(bundle.manifest, cold_user=ColdUser.ERROR))
    assert len(read_audience(strict, filters)) == 1
    assert len(read_audience(strict, replace(filters, strangers=Strangers.POPULAR))) == 2
    assert len(read_audience(bundle, filters)) == 2


@pytest.mark.parametrize(
    ("option", "content", "words"),
    [
        ("seen", "user_id,item_id\nu1\n", r"file\.csv:2: 1 fields where 2 belong"),
        ("seen", "user,film\nu1,2\n", "header is 'user,film'"),
        ("seen", "", "the file is empty"),
        ("users", "user_id\nu1\n\nu2,3\n", r"file\.csv:4: 2 fields where 1 belong"),
        ("users", "user_id\n", "names no user"),
        ("users", 'user_id\n" "\n', r"file\.csv:2: user_id is blank"),
        ("users", "who\nu1\n", "expected 'user_id'"),
        ("exclude_items", "item_id\nfilm 1\x00\n", r"file\.csv:2: NUL byte"),
        ("candidates", "item_id\nfilm 1234\n", "no item of the bundle is left"),
        ("candidates", "item_id\n", "no item of the bundle is left"),
    ],
)
def test_a_bad_file_is_named_and_nothing_is_published(
    option: str, content: str, words: str, bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "file.csv").write_text(content)
    with pytest.raises((RatingsError, UsageError), match=words):
        run_batch(_job(bundle, tmp_path, _only(option, tmp_path / "file.csv")), NOW)
    assert not (tmp_path / "topk").exists()


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ({"person": ["u1"]}, "no column 'user_id'"),
        ({"user_id": [1.5]}, "'user_id' is double"),
        ({"user_id": ["u1", None]}, "row 2: user_id is blank"),
    ],
)
def test_a_bad_parquet_file_is_named(
    column: dict[str, list[object]], words: str, bundle: Bundle, tmp_path: Path
) -> None:
    pd.DataFrame(column).to_parquet(tmp_path / "users.parquet")
    with pytest.raises(RatingsError, match=words):
        run_batch(_job(bundle, tmp_path, Filters(users=tmp_path / "users.parquet")), NOW)
    content = (tmp_path / "users.parquet").read_bytes()
    (tmp_path / "users.parquet").write_bytes(content[:-9])
    with pytest.raises(RatingsError, match="not readable as Parquet"):
        run_batch(_job(bundle, tmp_path, Filters(users=tmp_path / "users.parquet")), NOW)


def test_a_file_that_changes_during_the_run_is_refused_at_publish(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "seen.csv").write_text("user_id,item_id\nu1,film 3\n")

    def change(*arguments: object) -> object:
        (tmp_path / "seen.csv").write_text("user_id,item_id\nu1,film 5\n")
        return finish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("batch.pipeline.finish", change)
    with pytest.raises(UsageError.__base__, match=r"seen\.csv: changed during the run"):  # type: ignore[arg-type]
        run_batch(_job(bundle, tmp_path, Filters(seen=tmp_path / "seen.csv")), NOW)
    assert not (tmp_path / "topk" / "LATEST").exists()
