"""Runs of a logical date: made once, and LATEST never goes back to an earlier one."""

import datetime as dt
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import ncf
from batch.job import Job
from batch.pipeline import run_batch
from batch.runs import held_runs, open_runs
from batch.verify import verify_run
from ncf.devices import Device
from ncf.errors import HELD, DateTakenError, GateError
from ncf.scoring.bundle import Bundle
from tests.batch.written import Listed, write_run
from tests.commands import done, refused, snapshot
from tests.commands import ncf as command
from tests.faults.killer import killed_before, operations


def _of(bundle: Bundle, out: str | Path, date: str | dt.date, **others: object) -> ncf.Run:
    return ncf.batch(bundle.path, out=out, device="cpu", date=date, **{"k": 2, **others})  # type: ignore[arg-type]


def test_a_run_of_a_date_is_made_once(bundle: Bundle, out: str) -> None:
    first = _of(bundle, out, "2026-11-26")
    assert first.name.startswith("20261126T000000Z-")
    assert (first.figures["date"], first.figures["outcome"]) == ("2026-11-26", "published")
    for again in ("2026-11-26", dt.date(2026, 11, 26), "2026-11-25T19:00:00-05:00"):
        found = _of(bundle, out, again, k=3)  # whatever else is asked for
        assert (found.name, found.figures["outcome"]) == (first.name, "kept")
        assert found.figures["rows"] == 2 * bundle.n_users
    assert open_runs(out).taken() == [first.name]
    with pytest.raises(DateTakenError, match=r"run 20261126T000000Z-.* of 2026-11-26 is there"):
        ncf.plan_batch(bundle.path, out=out, k=3, date="2026-11-26")
    assert _of(bundle, out, "2026-11-26T06:00").figures["date"] == "2026-11-26T06:00:00Z"
    assert len(open_runs(out).names()) == 2


def test_a_backfill_does_not_move_latest_back(bundle: Bundle, out: str) -> None:
    runs = open_runs(out)
    last = _of(bundle, out, "2026-11-26")
    for day in ("2026-11-24", "2026-11-25"):
        made = _of(bundle, out, day, keep=1)  # nor does it remove what was published
        assert made.figures["outcome"] == "backfilled"
        assert len(made.frame()) == 2 * bundle.n_users
        assert runs.latest() == last.name
    assert len(runs.names()) == 3
    plan = ncf.plan_batch(bundle.path, out=out, k=2, date="2026-11-23")
    ncf.work_batch(out)
    assert ncf.commit_batch(out, plan=plan["plan"]).figures["outcome"] == "backfilled"
    assert ncf.commit_batch(out, plan=plan["plan"]).name == plan["run"]  # a retry of the commit
    following = _of(bundle, out, "2026-11-27", keep=2)
    assert runs.names() == [last.name, following.name]  # those that LATEST has named
    assert ncf.rollback(out) == last.name == runs.latest()
    assert _of(bundle, out, "2026-11-26").figures["outcome"] == "kept"
    assert _of(bundle, out, "2026-11-27").figures["outcome"] == "kept"
    assert runs.latest() == last.name


def test_a_run_without_a_date_counts_as_of_its_day(bundle: Bundle, tmp_path: Path) -> None:
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)
    made = run_batch(Job(bundle.path, tmp_path, 2, Device.CPU), noon)["run"]
    assert _of(bundle, tmp_path, "2026-11-25").figures["outcome"] == "backfilled"
    assert open_runs(tmp_path).latest() == made
    tonight = _of(bundle, tmp_path, "2026-11-26")  # begins before noon, but is of the same day
    assert tonight.figures["outcome"] == "published"
    made = run_batch(Job(bundle.path, tmp_path, 2, Device.CPU), noon)["run"]
    assert open_runs(tmp_path).latest() == made  # without a date, it is now


def test_gates_of_a_backfill_compare_with_the_date_before(bundle: Bundle, tmp_path: Path) -> None:
    half = list(bundle.users.raw[: bundle.n_users // 2])
    gates = tmp_path / "gates.toml"
    gates.write_text("[ratio]\nusers = {min = 0.9, max = 1.1}\n")
    out = tmp_path / "topk"
    _of(bundle, out, "2026-11-20", users=half)
    _of(bundle, out, "2026-11-26")
    against = _of(bundle, out, "2026-11-22", users=half, gate=gates)
    assert against.figures["outcome"] == "backfilled"
    verdict = json.loads((Path(against.table) / "_gates.json").read_text())
    assert verdict["against"].startswith("20261120T")
    with pytest.raises(GateError, match="set aside"):
        _of(bundle, out, "2026-11-23", gate=gates)
    (held,) = held_runs(open_runs(out)).names()
    _of(bundle, out, "2026-11-19", gate=gates)  # nothing before: only absolute gates
    with pytest.raises(GateError):  # a date whose run was set aside is made again
        _of(bundle, out, "2026-11-23", gate=gates)
    assert ncf.publish(held, out) == held
    assert _of(bundle, out, "2026-11-23", gate=gates).figures["outcome"] == "kept"


def test_the_command_says_what_became_of_a_date(bundle: Bundle, tmp_path: Path) -> None:
    words = ("batch", "--bundle", bundle.path, "-k", 2, "--metrics-file", "m.prom", "--date")

    def last() -> float:
        found = text_string_to_metric_families((tmp_path / "m.prom").read_text())
        return next(s.value for f in found for s in f.samples if "last_success" in s.name)

    def run(date: str) -> tuple[str, str]:
        ended = command(*words, date, "--json", cwd=tmp_path)
        assert ended.code == 0, ended
        return json.loads(ended.out)["outcome"], ended.err

    assert run("2026-11-26")[0] == "published"
    published = last()
    outcome, said = run("2026-11-25")
    assert outcome == "backfilled"
    assert "is of an earlier date than run 20261126T000000Z-" in said
    before = snapshot(tmp_path / "topk")
    outcome, said = run("2026-11-26")
    assert outcome == "kept"
    assert "of 2026-11-26 is there already, and nothing is made" in said
    assert snapshot(tmp_path / "topk") == before
    assert last() == published  # no newer table is to be had
    said = refused("batch", "plan", "--bundle", bundle.path, "--date", "2026-11-26", cwd=tmp_path)
    assert "is there already" in said
    for wrong in ("yesterday", "26.11.2026", "2026-13-01", "", "0001-01-01"):
        assert "is not a date" in refused(*words[:5], "--date", wrong, cwd=tmp_path)


def test_yesterdays_seen_file_is_caught_between_dates_of_one_day(
    bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "gates.toml").write_text("[change]\nsame_seen = {max = 0}\n")
    (tmp_path / "seen.csv").write_text(f"user_id,item_id\n{bundle.users.raw[0]},i1\n")
    words = ("batch", "--bundle", bundle.path, "--seen", "seen.csv", "--gate", "gates.toml")
    done(*words, "--date", "2026-11-26T06:00", cwd=tmp_path)
    assert command(*words, "--date", "2026-11-26T12:00", cwd=tmp_path).code == HELD


def test_what_others_named_like_a_date_is_no_run_of_it(bundle: Bundle, tmp_path: Path) -> None:
    table = {"u1": Listed(("i1",), (1.0,))}
    write_run(tmp_path, "20261126T000000Z-aaaaaaaa", table)  # made at midnight, without a date
    assert _of(bundle, tmp_path, "2026-11-26").figures["outcome"] == "published"


@pytest.mark.slow
def test_a_kill_at_any_file_operation_of_a_backfill_leaves_latest(
    bundle: Bundle, tmp_path: Path
) -> None:
    last = _of(bundle, tmp_path / "first", "2026-11-26").name
    out = tmp_path / "topk"

    def begin() -> None:
        done_before = tmp_path / "first"
        if out.exists():
            shutil.rmtree(out)
        shutil.copytree(done_before, out)

    job = Job(bundle.path, out, 2, Device.CPU, 11, date=datetime(2026, 11, 20, tzinfo=UTC))

    def work() -> None:
        run_batch(job, datetime.now(UTC))

    begin()
    count = operations(work)
    assert count > 20
    for operation in range(1, count + 1):
        begin()
        assert killed_before(work, operation)
        assert open_runs(out).latest() == last
        work()
        runs = open_runs(out)
        assert runs.latest() == last
        (made,) = [name for name in runs.names() if name != last]
        verify_run(out / made, bundle.path)
        assert not (out / ".ncf-batch" / "_plan.json").exists()  # the next batch clears the rest
