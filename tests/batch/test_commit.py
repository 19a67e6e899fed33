"""What a commit refuses, late and doubled work, tries, and two coordinators."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from batch import leases
from batch.bucket import Bucket
from batch.job import Job
from batch.options import Mode
from batch.parts import Task, audit
from batch.pieces import commit_batch
from batch.pipeline import plan_batch, run_batch
from batch.places import Place, open_place
from batch.plans import PLAN_FILE, RECEIPTS, Plan
from batch.recall_contract import Contract
from batch.receipts import Receipt, read_receipt
from batch.rounds import Round
from batch.runs import open_runs
from batch.sessions import Session, work
from batch.shards import Shard
from batch.verify import verify_run
from ncf.devices import Device
from ncf.errors import ArtifactError, LockedError, NotProvenError, UnreachableError
from ncf.proof.audit import Missed
from ncf.proof.recall import PairSample
from ncf.scoring.bundle import Bundle
from ncf.scoring.ranker import TopK
from tests.batch.conftest import Client
from tests.batch.pieces import NOW, current, facts, in_pieces, parts, unfinished
from tests.commands import ncf


def _job(bundle: Bundle, out: str | Path, **more: Any) -> Job:  # noqa: ANN401 - options of a job
    return Job(bundle.path, out, 5, Device.CPU, 15, **more)


def _done(bundle: Bundle, out: str, **more: Any) -> Plan:  # noqa: ANN401 - options of a job
    plan = plan_batch(_job(bundle, out, **more), NOW)
    for number in range(plan.shards):
        work(plan, number, out)
    return plan


def _receipt(place: Place, plan: Plan, number: int) -> tuple[str, Receipt]:
    (file,) = (
        name
        for name in place.names(f"{plan.folder}/{RECEIPTS}")
        if name.startswith(plan.part(number))
    )
    path = f"{plan.folder}/{RECEIPTS}/{file}"
    return path, read_receipt(place.read(path), plan, number, path)


def _other_receipt(place: Place, plan: Plan, receipt: Receipt) -> None:
    place.write(f"{plan.folder}/{RECEIPTS}/{receipt.file}", receipt.content())


Undo = Callable[[int], object]
Damage = Callable[[Place, Plan], Undo | None]


def _no_receipt(place: Place, plan: Plan) -> None:
    place.delete(_receipt(place, plan, 1)[0])


def _torn_receipt(place: Place, plan: Plan) -> None:
    path, receipt = _receipt(place, plan, 1)
    place.write(path, receipt.content()[:-40])


def _lying_receipt(place: Place, plan: Plan) -> None:
    path, receipt = _receipt(place, plan, 1)
    place.write(path, receipt.content().replace(b'"rows": 60', b'"rows": 61'))


def _receipt_of_another_plan(place: Place, plan: Plan) -> None:
    path, receipt = _receipt(place, plan, 1)
    place.write(path, replace(receipt, plan="0" * 64).content())


def _receipt_of_no_shard(place: Place, plan: Plan) -> Undo:
    other = replace(_receipt(place, plan, 1)[1], part="part-00077.parquet")
    _other_receipt(place, plan, other)
    return lambda _: place.delete(f"{plan.folder}/{RECEIPTS}/{other.file}")


def _two_receipts(place: Place, plan: Plan) -> None:
    _, receipt = _receipt(place, plan, 1)
    _other_receipt(place, plan, replace(receipt, sha256="f" * 64, host="elsewhere"))


def _no_part(place: Place, plan: Plan) -> None:
    _remove(place, plan, plan.part(1))


def _torn_part(place: Place, plan: Plan) -> None:
    with place.open_part(plan, plan.part(1)) as file:
        content = file.read()
    place.write_part(plan, plan.part(1), content[:-9])


def _flipped_part(place: Place, plan: Plan) -> None:
    with place.open_part(plan, plan.part(1)) as file:
        content = bytearray(file.read())
    content[50] ^= 1
    place.write_part(plan, plan.part(1), bytes(content))


def _part_of_nobody(place: Place, plan: Plan) -> Undo:
    place.write_part(plan, "part-00077.parquet", b"PAR1")
    return lambda _: _remove(place, plan, "part-00077.parquet")


def _remove(place: Place, plan: Plan, name: str) -> None:
    if isinstance(place, Bucket):
        place._system.delete_file(f"{place._root}/{plan.run}/{name}")
    else:
        Path(place.runs.root, ".ncf-batch", plan.folder, "parts", name).unlink()


REFUSALS: list[tuple[Damage, str]] = [
    (_no_receipt, r"part-00001\.parquet has no receipt .* do these shards.*: 1"),
    (_torn_receipt, r"part-00001\.parquet\..*json: the receipt is torn"),
    (_lying_receipt, r"part-00001\.parquet\..*json: the receipt is torn"),
    (_receipt_of_another_plan, r"part-00001.*: the receipt is of another plan"),
    (_receipt_of_no_shard, r"part-00077.*is no receipt of this plan"),
    (_two_receipts, r"part-00001\.parquet was made twice, with other bytes .* elsewhere"),
    (_no_part, r"part-00001\.parquet is missing, though"),
    (_torn_part, r"part-00001\.parquet has [\d,]+ bytes where its receipt says"),
    (_flipped_part, r"part-00001\.parquet differs from its receipt's SHA-256"),
    (_part_of_nobody, r"part-00077\.parquet among the parts .* is no part of this plan"),
]


def test_a_commit_refuses_by_name_and_ends_once_the_shard_is_done_again(
    out: str, bundle: Bundle, tmp_path: Path
) -> None:
    before = run_batch(_job(bundle, out, mode=Mode.EXACT), NOW - timedelta(days=1))["run"]
    job = replace(_job(bundle, out, mode=Mode.EXACT), k=4)
    plan, place = plan_batch(job, NOW), open_place(out)
    for number in range(plan.shards):
        work(plan, number, out)
    for damage, told in REFUSALS:
        undo = damage(place, plan)
        with pytest.raises(ArtifactError, match=told):
            commit_batch(out)
        assert open_runs(out).latest() == before, damage
        assert open_runs(out).names() == [before]
        (undo or Session.open(place, plan).finish)(1)  # a process that knows of none of it
    assert commit_batch(out)["run"] == plan.run == open_runs(out).latest()
    undisturbed = run_batch(replace(job, out=tmp_path / "other"), NOW)["run"]
    assert parts(out, plan.run) == parts(str(tmp_path / "other"), undisturbed)


def test_an_old_receipt_of_another_machine_kind_is_named_with_both(
    bundle: Bundle, tmp_path: Path
) -> None:
    plan = _done(bundle, str(tmp_path))
    place = open_place(tmp_path)
    _, receipt = _receipt(place, plan, 2)
    other = replace(receipt, sha256="0" * 64, host="old", instruction_set="x86_64 avx2")
    _other_receipt(place, plan, other)
    with pytest.raises(ArtifactError, match=r"on old, x86_64 avx2"):
        commit_batch(tmp_path)


# Late workers. The last look at the plan is taken away: it only makes the window smaller.


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers who do not look whether their plan is still open."""
    monkeypatch.setattr("batch.sessions.require_open", lambda *_: None)


@pytest.mark.usefixtures("late")
def test_a_worker_who_comes_after_the_commit_changes_nothing(out: str, bundle: Bundle) -> None:
    plan = plan_batch(_job(bundle, out), NOW)
    zombie = Session.open(open_place(out), plan)
    assert zombie._receipts == {}
    for number in range(plan.shards):
        work(plan, number, out)
    commit_batch(out)
    before = parts(out, plan.run)
    _late(zombie, out)
    assert parts(out, plan.run) == before
    assert open_runs(out).latest() == plan.run
    assert verify_run(_run(out, plan.run), bundle.path)["users"] == 40


@pytest.mark.usefixtures("late")
def test_a_worker_who_comes_after_the_removal_makes_no_run(out: str, bundle: Bundle) -> None:
    plan = plan_batch(_job(bundle, out), NOW)
    zombie = Session.open(open_place(out), plan)
    assert zombie._receipts == {}
    for number in range(plan.shards):
        work(plan, number, out)
    commit_batch(out)
    newer = run_batch(replace(_job(bundle, out), keep=1), NOW + timedelta(days=1))["run"]
    assert open_runs(out).taken() == [newer]
    _late(zombie, out)
    assert open_runs(out).names() == [newer]
    newest = run_batch(replace(_job(bundle, out), keep=2), NOW + timedelta(days=2))["run"]
    assert open_runs(out).names() == open_runs(out).taken() == [newer, newest]
    assert unfinished(out) == []


def test_a_worker_who_looks_is_told_that_its_plan_is_closed(out: str, bundle: Bundle) -> None:
    plan = plan_batch(_job(bundle, out), NOW)
    zombie = Session.open(open_place(out), plan)
    assert zombie._receipts == {}
    for number in range(plan.shards):
        work(plan, number, out)
    commit_batch(out)
    with pytest.raises(ArtifactError, match="is closed: it was committed"):
        zombie.finish(0)
    assert unfinished(out) == []


def _late(zombie: Session, out: str) -> None:
    """Finish a shard too late: in a folder that fails, in a bucket it does no harm."""
    if out.startswith("s3:"):
        zombie.finish(0)
        return
    with pytest.raises(ArtifactError, match="is closed"):
        zombie.finish(0)


def _run(out: str, name: str) -> str:
    path, mark, options = out.partition("?")
    return f"{path}/{name}{mark}{options}"


def test_the_same_shard_by_the_same_process_at_once_is_one_part(out: str, bundle: Bundle) -> None:
    plan = plan_batch(_job(bundle, out), NOW)
    sessions = [Session.open(open_place(out), plan) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        receipts = list(pool.map(lambda session: session.finish(1), sessions))
    assert len({receipt.sha256 for receipt in receipts}) == 1
    for number in (0, 2):
        work(plan, number, out)
    assert commit_batch(out)["run"] == plan.run
    assert list(parts(out, plan.run)) == [plan.part(number) for number in range(3)]


# Tries: one shard misses, and the whole table is looked at again.


def _missing_in(shard: int, rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the audit of one shard find misses that are not there, in so many rounds."""

    def missing(task: Task, part: Shard, top: TopK, now: Round) -> tuple[PairSample, Missed]:
        sample, missed = audit(task, part, top, now)
        if part.number == shard and task.rounds.index(now) < rounds:
            sample = replace(sample, missed=500)
        return sample, missed

    def counted(found: PairSample, **changes: Any) -> PairSample:  # noqa: ANN401 - fields
        if found.missed == 500:
            changes["missed"] = 500
        return replace(found, **changes)

    monkeypatch.setattr("batch.parts.audit", missing)
    monkeypatch.setattr("batch.parts.replace", counted)
    monkeypatch.setattr(Contract, "_most_candidates", lambda _: 1100)


def _screened(bundle: Bundle, out: str | Path) -> Job:
    return Job(bundle.path, out, 10, Device.CPU, 100, mode=Mode.SCREENED, recall=0.95)


def test_a_miss_in_one_shard_fails_the_try_for_all_and_the_next_is_that_of_one_batch(
    out: str, screened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _missing_in(1, 1, monkeypatch)
    one = run_batch(_screened(screened_bundle, tmp_path / "one"), NOW)
    assert one["recall"]["try"] == 2
    first = plan_batch(_screened(screened_bundle, out), NOW)
    zombie = Session.open(open_place(out), first)
    assert zombie._receipts == {}
    for number in range(first.shards):
        work(first, number, out)
    with pytest.raises(NotProvenError, match="try 2 is planned as") as raised:
        commit_batch(out)
    assert raised.value.exit_code == 4
    second = current(out)
    assert second.folder in str(raised.value)
    assert (len(second.rounds), second.before) == (2, first.folder)
    assert second.run != first.run
    assert open_runs(out).latest_or_none() is None
    monkeypatch.setattr("batch.sessions.require_open", lambda *_: None)
    _late(zombie, out)  # still on the first try
    for number in range(second.shards):
        work(second, number, out)
    figures = commit_batch(out)
    assert parts(out, second.run) == parts(str(tmp_path / "one"), one["run"])
    assert facts(out, second.run) == {
        **facts(str(tmp_path / "one"), one["run"]),
        "plan": second.id,
    }
    assert figures["recall"] == one["recall"]
    assert open_runs(out).taken() == [second.run]
    assert unfinished(out) == []


def test_a_screen_that_never_proves_it_ends_exact(
    screened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = Job(screened_bundle.path, tmp_path / "exact", 10, Device.CPU, 100, mode=Mode.EXACT)
    exact_run = run_batch(exact, NOW)["run"]
    _missing_in(2, 99, monkeypatch)
    figures = in_pieces(_screened(screened_bundle, tmp_path / "topk"))
    assert figures["mode"] == "exact"
    wanted = parts(str(tmp_path / "exact"), exact_run)
    assert parts(str(tmp_path / "topk"), figures["run"]) == wanted
    assert open_runs(tmp_path / "topk").taken() == [figures["run"]]


def test_a_worker_without_what_earlier_rounds_found_goes_through_them_again(
    screened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _missing_in(1, 1, monkeypatch)
    one = run_batch(_screened(screened_bundle, tmp_path / "one"), NOW)
    out = tmp_path / "topk"
    first = plan_batch(_screened(screened_bundle, out), NOW)
    for number in range(first.shards):
        work(first, number, out)
    with pytest.raises(NotProvenError):
        commit_batch(out)
    second = current(str(out))
    kept = sorted((out / ".ncf-batch" / first.folder / "found").iterdir())
    assert len(kept) == 3
    kept[0].unlink()
    kept[2].write_bytes(kept[2].read_bytes()[:-20])
    for number in range(second.shards):
        work(second, number, out)
    commit_batch(out)
    assert parts(str(out), second.run) == parts(str(tmp_path / "one"), one["run"])


def test_the_exit_code_of_a_try_that_failed_tells_a_scheduler_to_go_on(
    screened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _missing_in(0, 1, monkeypatch)
    words = f"--mode screened --recall 0.95 --device cpu --bundle {screened_bundle.path}"
    assert ncf("batch", "plan", *words.split(), "--shard-users", 100, cwd=tmp_path).code == 0
    codes = []
    for _ in range(2):
        assert ncf("batch", "work", cwd=tmp_path).code == 0
        ended = ncf("batch", "commit", cwd=tmp_path)
        codes.append(ended.code)
    assert codes == [4, 0]


# Deaths by a real signal, in the place where it hurts.

_DYING = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
import batch.bucket, batch.folder
from batch.job import Job
from batch.pieces import commit_batch, planned
from batch.pipeline import plan_batch
from batch.places import open_place
from batch.sessions import work
from ncf.devices import Device
bundle, out, dies_at = sys.argv[1:]
def dying(method, what=""):
    def maybe(*arguments, **named):
        if dies_at in (what or str(arguments)):
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*arguments, **named)
    return maybe
batch.bucket.Bucket._put = dying(batch.bucket.Bucket._put)
batch.folder._put = dying(batch.folder._put)
batch.folder.Folder.publish = dying(batch.folder.Folder.publish, "_manifest.json _SUCCESS")
batch.folder.Folder.replace = dying(batch.folder.Folder.replace)
plan = plan_batch(Job(Path(bundle), out, 5, Device.CPU, 15), datetime.now(UTC))
for number in range(plan.shards):
    work(plan, number, out)
commit_batch(out)
"""
_MOMENTS = ["audience.npz", "_plan.json", "receipts/", "_SUCCESS", "_history", "LATEST"]


def _killed(bundle: Bundle, out: str, dies_at: str) -> int:
    command = [sys.executable, "-c", _DYING, str(bundle.path), out, dies_at]
    return subprocess.run(command, check=False, cwd=Path(__file__).parents[2]).returncode


@pytest.mark.parametrize(
    "dies_at",
    [
        pytest.param("part-00001.parquet", id="part"),
        pytest.param("_manifest.json", id="manifest"),
        *(pytest.param(each, marks=pytest.mark.slow) for each in _MOMENTS),
    ],
)
def test_a_kill_in_any_piece_leaves_the_last_run_and_the_same_pieces_end_right(
    dies_at: str, out: str, bundle: Bundle
) -> None:
    before = run_batch(_job(bundle, out, mode=Mode.EXACT), NOW - timedelta(days=1))
    assert _killed(bundle, out, dies_at) == -signal.SIGKILL
    assert open_runs(out).latest() == before["run"]
    plan = plan_batch(_job(bundle, out), NOW)
    for number in range(plan.shards):
        work(plan, number, out)
    ended = commit_batch(out)
    assert parts(out, ended["run"]) == parts(out, before["run"])
    assert unfinished(out) == []
    verify_run(_run(out, ended["run"]), bundle.path)


# Two coordinators of one bucket, on two machines.


@pytest.fixture
def bucket(server: str, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An S3 bucket, whose machine keeps its own lock elsewhere for each process."""
    assert client
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"s3://tables/topk?endpoint_override={server}&scheme=http&region=us-east-1"


def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """Be another machine: another name, other processes, another cache."""
    monkeypatch.setattr(leases, "_machine", lambda: name)
    monkeypatch.setattr(leases, "this_host", lambda: name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))


def test_a_second_coordinator_on_another_machine_is_refused_while_the_first_lives(
    bucket: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.05)
    with open_place(bucket).coordinating():
        _elsewhere(monkeypatch, tmp_path, "other")
        with pytest.raises(LockedError, match=f"pid {os.getpid()}"):
            plan_batch(_job(bundle, bucket), NOW)
    plan_batch(_job(bundle, bucket), NOW)
    assert open_runs(bucket).taken() == []


def test_a_lock_that_is_rewritten_while_it_is_read_is_read_again(
    bucket: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = [b'{"host": "here", "pi', b'{"host": "he']
    whole = json.loads

    def torn(content: bytes | str) -> object:
        of_lock = isinstance(content, bytes) and b'"pid"' in content
        return whole(halves.pop() if halves and of_lock else content)

    with open_place(bucket).coordinating():
        _elsewhere(monkeypatch, tmp_path, "other")
        monkeypatch.setattr(json, "loads", torn)
        with pytest.raises(LockedError, match=f"pid {os.getpid()}"):
            plan_batch(_job(bundle, bucket), NOW)
    assert halves == []


def test_a_dead_coordinator_is_followed_at_once_here_and_after_its_lease_elsewhere(
    bucket: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = open_runs(bucket)
    with runs.system.open_output_stream(f"{runs.root}/.ncf-lock-00000004") as stream:
        stream.write(
            f'{{"host": "here", "pid": 99999999, "machine": "{leases._machine()}"}}'.encode()
        )
    started = time.monotonic()
    plan_batch(_job(bundle, bucket), NOW)
    assert time.monotonic() - started < leases.LEASE / 2
    monkeypatch.setattr(leases, "LEASE", 0.3)
    with runs.system.open_output_stream(f"{runs.root}/.ncf-lock-00000004") as stream:
        stream.write(b'{"host": "there", "pid": 1, "machine": "there", "beat": 7}')
    plan_batch(_job(bundle, bucket), NOW)
    assert open_runs(bucket).taken() == []


def test_who_was_taken_to_be_dead_publishes_nothing(
    bucket: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _done(bundle, bucket)
    publish = Bucket.publish

    def after_a_long_sleep(self: Bucket, plan: Plan, files: dict[str, bytes], **_: bool) -> None:
        runs = self.runs
        with runs.system.open_output_stream(f"{runs.root}/.ncf-lock-00000009") as stream:
            stream.write(b'{"host": "there", "token": "of another"}')
        publish(self, plan, files)

    monkeypatch.setattr(Bucket, "publish", after_a_long_sleep)
    with pytest.raises(LockedError, match="another batch has taken over"):
        commit_batch(bucket)
    assert open_runs(bucket).latest_or_none() is None
    assert open_runs(bucket).names() == []
    assert plan


def test_a_store_that_makes_nothing_only_once_is_said_to_be_unprotected(
    bucket: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(leases, "through_boto3", lambda _: lambda *_: True)  # overwrites
        plan_batch(_job(bundle, bucket), NOW)
    assert "a batch on another machine is not kept out" in caplog.text
    caplog.clear()
    monkeypatch.setitem(sys.modules, "boto3", None)  # not installed
    plan_batch(_job(bundle, bucket), NOW)
    assert "a batch on another machine is not kept out" in caplog.text


@pytest.mark.parametrize("status", [503, 409])
def test_a_store_that_is_busy_for_a_moment_gives_no_unprotected_batch(
    status: int,
    bucket: str,
    bundle: Bundle,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusal = {
        503: ("SlowDown", "Please reduce your request rate."),
        409: ("ConditionalRequestConflict", "Another conditional write is under way."),
    }
    code, message = refusal[status]
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    real, asked = client.put_object, []

    def put(**options: Any) -> object:  # noqa: ANN401 - of boto3
        asked.append(options["Key"])
        if len(asked) == 3:  # after the two probes
            raise client.exceptions.ClientError(answer, "PutObject")
        return real(**options)

    client.put_object = put
    monkeypatch.setattr("boto3.client", lambda *_, **__: client)
    if status == 503:
        with pytest.raises(UnreachableError, match="SlowDown"):
            plan_batch(_job(bundle, bucket), NOW)
        asked[:] = asked[:2]  # and now with the probe
        with pytest.raises(UnreachableError, match="SlowDown"):
            plan_batch(_job(bundle, bucket), NOW)
    assert plan_batch(_job(bundle, bucket), NOW).shards == 3
    assert "is not kept out" not in caplog.text


def test_a_store_out_of_reach_is_not_taken_for_one_without_locks(
    bundle: Bundle, server: str, bucket: str
) -> None:
    closed = bucket.replace(server, "127.0.0.1:9")
    with pytest.raises(UnreachableError, match="no lock can be kept now"):
        plan_batch(_job(bundle, closed), NOW)


def test_a_lock_is_kept_in_what_fsspec_knows_too(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.05)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = f"memory://{tmp_path.name}/topk"
    with open_place(place).coordinating():
        _elsewhere(monkeypatch, tmp_path, "other")
        with pytest.raises(LockedError):
            plan_batch(_job(bundle, place), NOW)
    plan_batch(_job(bundle, place), NOW)


def test_a_coordinator_in_another_thread_of_this_machine_is_refused_by_its_lock(
    out: str, bundle: Bundle
) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with open_place(out).coordinating():
            held.set()
            done.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(20)
    with pytest.raises(LockedError):
        plan_batch(_job(bundle, out), NOW)
    done.set()
    holder.join()


def test_the_plan_goes_last_and_comes_first(
    out: str, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    plan = plan_batch(_job(bundle, out), NOW)
    place = open_place(out)
    place.delete(PLAN_FILE)  # as after a death between LATEST and the tidying
    with pytest.raises(ArtifactError, match="nothing is planned here"):
        commit_batch(out)
    fresh = plan_batch(_job(bundle, out), NOW)
    assert fresh.run == plan.run
    assert [path for path in unfinished(out) if "/receipts/" in path] == []
