"""A batch that takes lists over from an earlier run gives the bytes of one that ranks all."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ncf as ncf_api
from batch.filters import Filters
from batch.job import Job
from batch.manifest import RunManifest
from batch.options import Layout, Mode, TableFormat
from batch.pipeline import run_batch
from batch.recall_contract import Contract
from batch.rounds import Round
from batch.runs import USERS_FILE, open_runs
from batch.tables import Style
from export.publish import publish
from export.source import Source
from ncf.data.prepared import PreparedData
from ncf.devices import Device
from ncf.errors import ArtifactError
from ncf.policies import Strangers
from ncf.proof.recall import PairSample
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.training.checkpoint import Checkpoint
from tests.batch.pieces import in_pieces
from tests.commands import ncf

LAST, NOW = (datetime(2026, 11, day, 3, 0, tzinfo=UTC) for day in (23, 24))


@pytest.fixture(scope="module")
def keen(
    checkpoint: Checkpoint, data: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """The exported NeuMF, which folds in from one item on."""
    store = tmp_path_factory.mktemp("keen")
    publish(Source(checkpoint, data, min_history=1), store, "ncf")
    return open_bundle(store / "ncf")


def night(folder: Path, **files: Any) -> Filters:  # noqa: ANN401 - rows, or options of filters
    """Write the files of a night: pairs as ``{user: items}``, users and items as lists."""
    folder.mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {}
    for name, value in files.items():
        if isinstance(value, Mapping):
            pairs = [(user, item) for user, items in value.items() for item in items]
            frame = pd.DataFrame(pairs, columns=["user_id", "item_id"])
        elif isinstance(value, list):
            frame = pd.DataFrame({"user_id" if name == "users" else "item_id": value}, dtype=str)
        else:
            given[name] = value
            continue
        given[name] = folder / f"{name}.csv"
        frame.to_csv(given[name], index=False)
    return Filters(**given)


def compared(first: Job, job: Job) -> RunManifest:
    """Run a night from an earlier one, and again without it; give the first's manifest."""
    before = run_batch(first, LAST)
    places = Path(f"{job.out}-taken"), Path(f"{job.out}-whole")
    taken = run_batch(replace(job, out=places[0], since=before["table"]), NOW)
    mode = Mode(taken["mode"]) if job.mode is Mode.AUTO else job.mode
    whole = run_batch(replace(job, out=places[1], mode=mode), NOW)
    assert taken["run"] == whole["run"]
    contents = [
        {
            path.name: path.read_bytes()
            for path in (place / taken["run"]).iterdir()
            if path.name != "_manifest.json"
        }
        for place in places
    ]
    assert contents[0] == contents[1]
    assert USERS_FILE in contents[0]
    both = [open_runs(place).manifest(taken["run"]) for place in places]
    assert both[0].recall == both[1].recall
    assert both[0].files == both[1].files
    return both[0]


def nights(n_users: int, user: str, n_items: int, item: str) -> st.SearchStrategy[dict[str, Any]]:
    users = st.integers(0, n_users + 4).map(lambda n: f"{user}{n}")  # the last are strangers
    items = st.integers(0, n_items).map(lambda n: f"{item}{n}")
    pairs = st.dictionaries(users, st.lists(items, min_size=1, max_size=4), max_size=9)
    return st.fixed_dictionaries(
        {"seen": pairs},
        optional={
            "exclude_pairs": pairs,
            "exclude_items": st.lists(items, min_size=1, max_size=3),
            "users": st.lists(users, min_size=1, max_size=n_users, unique=True),
            "refresh": st.just(value=True),
            "strangers": st.sampled_from(Strangers),
        },
    )


STYLES = st.builds(Style, st.just(TableFormat.PARQUET), st.sampled_from(Layout)) | st.just(
    Style(TableFormat.CSV)
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    both=st.tuples(nights(40, "u", 30, "film "), nights(40, "u", 30, "film ")),
    alike=st.booleans(),
    styles=st.tuples(STYLES, STYLES),
    shards=st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
def test_any_two_nights_give_the_bytes_of_a_full_run(
    keen: Bundle,
    tmp_path_factory: pytest.TempPathFactory,
    both: tuple[dict[str, Any], dict[str, Any]],
    alike: bool,  # noqa: FBT001 - drawn
    styles: tuple[Style, Style],
    shards: tuple[int, int],
) -> None:
    folder = tmp_path_factory.mktemp("nights")
    second = {**both[0], "seen": {**both[0]["seen"], **both[1]["seen"]}} if alike else both[1]
    jobs = [
        Job(
            keen.path,
            folder / name,
            4,
            Device.CPU,
            shards[n],
            workers=1,
            filters=night(folder / f"files-{name}", **files),
            style=styles[n],
        )
        for n, (name, files) in enumerate((("a", both[0]), ("b", second)))
    ]
    try:
        compared(*jobs)
    finally:
        shutil.rmtree(folder)


def _job(bundle: Bundle, out: Path, **more: Any) -> Job:  # noqa: ANN401 - options of a job
    return Job(bundle.path, out, more.pop("k", 4), Device.CPU, more.pop("shard", 11), **more)


def test_only_users_with_new_pairs_or_a_withdrawn_item_are_ranked(
    keen: Bundle, tmp_path: Path
) -> None:
    seen = {"u1": ["film 0"], "new": ["film 1"]}
    first = _job(keen, tmp_path / "a", filters=night(tmp_path / "1", seen=seen))
    again = compared(first, _job(keen, tmp_path / "b", filters=first.filters)).since
    assert again is not None
    assert (again.users_taken, again.users_ranked, again.reason) == (41, 0, "")
    table = pd.read_parquet(tmp_path / "a" / again.run)
    withdrawn = table[table.user_id == "u7"].item_id.iloc[0]
    having = set(table[table.item_id == withdrawn].user_id) | {"u2", "new", "newer"}
    changed = night(
        tmp_path / "2",
        seen={**seen, "u2": ["film 3"], "new": ["film 1", "film 2"], "newer": ["film 5"]},
        exclude_items=[withdrawn],
    )
    found = compared(first, _job(keen, tmp_path / "c", filters=changed)).since
    assert found is not None
    assert found.users_ranked == len(having)
    assert found.users_taken == 42 - len(having)


def test_a_bundle_made_anew_ranks_all_and_says_so(
    keen: Bundle, bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = compared(_job(bundle, tmp_path / "a"), _job(keen, tmp_path / "b")).since
    assert found is not None
    assert (found.users_taken, found.users_ranked) == (0, 40)
    assert found.reason == "it was made with another bundle"
    assert "ranking all users" in caplog.text


def test_lists_of_another_length_or_newly_allowed_items_rank_all(
    keen: Bundle, tmp_path: Path
) -> None:
    first = _job(keen, tmp_path / "a", filters=night(tmp_path / "1", exclude_items=["film 4"]))
    longer = compared(first, _job(keen, tmp_path / "b", k=5, filters=first.filters)).since
    allowed = compared(first, _job(keen, tmp_path / "c")).since
    assert longer is not None
    assert allowed is not None
    assert longer.reason == "its lists are of 4 items"
    assert "not allowed then" in allowed.reason


def test_a_damaged_run_is_ranked_anew(keen: Bundle, tmp_path: Path) -> None:
    before = Path(run_batch(_job(keen, tmp_path / "a"), LAST)["table"])
    for name in ("part-00001.parquet", USERS_FILE):
        damaged = before / name
        content = damaged.read_bytes()
        damaged.write_bytes(content[:-5] + bytes(5))
        found = run_batch(_job(keen, tmp_path / name, since=str(before)), NOW)
        assert found["since"]["users_taken"] == 0
        assert name in found["since"]["reason"]
        damaged.write_bytes(content)


def test_latest_is_the_run_of_the_output_and_may_be_missing(keen: Bundle, tmp_path: Path) -> None:
    first = run_batch(_job(keen, tmp_path / "a", since="latest"), LAST)
    assert first["since"]["reason"] == "nothing was published yet"
    second = run_batch(_job(keen, tmp_path / "a", since="latest"), NOW)
    assert second["since"]["run"] == first["run"]
    assert second["since"]["users_taken"] == 40
    with pytest.raises(ArtifactError, match="not here"):
        run_batch(_job(keen, tmp_path / "a", since="20200101T000000Z-00000000"), NOW)


def test_another_processor_takes_nothing_over(
    keen: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _job(keen, tmp_path / "a")
    before = run_batch(first, LAST)
    monkeypatch.setattr("batch.since.instruction_set", lambda: "another")
    found = run_batch(_job(keen, tmp_path / "b", since=before["table"]), NOW)
    assert found["since"]["reason"] == "it was made on another kind of processor"


def test_workers_elsewhere_take_lists_over_from_the_plan_alone(
    keen: Bundle, tmp_path: Path
) -> None:
    job = _job(keen, tmp_path / "a")
    before = Path(run_batch(job, LAST)["table"])
    pieces = in_pieces(_job(keen, tmp_path / "b", since=str(before)), shuffled=True)
    assert pieces["since"]["users_taken"] == 40
    for part in before.glob("part-*"):
        assert (tmp_path / "b" / pieces["run"] / part.name).read_bytes() == part.read_bytes()


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(both=st.tuples(nights(240, "u", 1000, "i"), nights(240, "u", 1000, "i")))
def test_any_two_screened_nights_give_the_bytes_and_the_proof_of_a_full_run(
    screened_bundle: Bundle,
    tmp_path_factory: pytest.TempPathFactory,
    both: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    folder = tmp_path_factory.mktemp("nights")
    kept = {"exclude_items": both[0].get("exclude_items", ["i7"])}
    jobs = [
        _job(
            screened_bundle,
            folder / name,
            k=10,
            shard=100,
            recall=0.95,
            mode=Mode.SCREENED,
            workers=1,
            filters=night(folder / name / "files", **{**files, **kept, "users": _some(files)}),
        )
        for name, files in zip("ab", both, strict=True)
    ]
    found = compared(*jobs).since
    assert found is not None
    assert not found.reason
    assert found.users_taken > 0


def _some(files: dict[str, Any]) -> list[str]:
    """So many users that a proof of their recall pays."""
    return sorted({f"u{n}" for n in range(200)} | set(files.get("users", ())))


@pytest.mark.parametrize("then", ["wider", "exact"])
def test_a_further_try_gives_the_bytes_of_a_full_run(
    screened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    def after(_: Contract, rounds: tuple[Round, ...], __: PairSample) -> tuple[Round, ...] | None:
        return (*rounds, Round(2.0, 0.0, 5)) if then == "wider" else None

    proven = iter([True, *[False, True] * 2] if then == "wider" else [True, False, False])
    monkeypatch.setattr(Contract, "keeps", lambda *_: next(proven))
    monkeypatch.setattr(Contract, "after", after)
    job = _job(screened_bundle, tmp_path / "a", k=10, shard=100, recall=0.95, mode=Mode.SCREENED)
    seen = night(tmp_path / "2", seen={"u3": ["i5", "i9"]})
    found = compared(job, replace(job, out=tmp_path / "b", filters=seen))
    assert found.since is not None
    assert found.mode.value == ("screened" if then == "wider" else "exact")
    assert found.since.users_taken == (239 if then == "wider" else 0)
    assert next(proven, None) is None


def test_the_command_and_the_call_take_lists_over(keen: Bundle, tmp_path: Path) -> None:
    words = ("batch", "--bundle", keen.path, "--out", "topk", "-k", 4, "--since", "latest")
    for count in (0, 40):
        ended = ncf(*words, "--json", cwd=tmp_path)
        assert json.loads(ended.out)["since"]["users_taken"] == count
    plan = ncf_api.plan_batch(keen.path, out=tmp_path / "topk", k=4, since=tmp_path / "topk")
    ncf_api.work_batch(tmp_path / "topk", plan=plan["plan"])
    run = ncf_api.commit_batch(tmp_path / "topk")
    assert run.figures["since"]["users_taken"] == 40
