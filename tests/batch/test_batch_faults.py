"""Kills, signals, full disks, forbidden folders: the last table stays, the next run ends."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from batch.audience import read_audience
from batch.engines.threads import Threads
from batch.filters import Filters
from batch.job import Job
from batch.parts import Stopped, Task, score
from batch.pipeline import plan_batch, run_batch
from batch.places import open_place
from batch.plans import read_plan
from batch.runs import open_runs
from batch.sessions import Session
from batch.shards import Shard
from batch.verify import verify_run
from ncf.artifacts import canonical_json
from ncf.devices import Device
from ncf.errors import TEMPORARY, StorageError
from ncf.scoring.bundle import Bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.ranker import TopK

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
NCF = [sys.executable, "-c", "from ncf.cli import main; main()"]


def _job(bundle: Bundle, out: Path, *, k: int = 5) -> Job:
    return Job(bundle.path, out, k, Device.CPU, 7)


def _latest(out: Path) -> Path:
    return out / open_runs(out).latest()


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("part-*.parquet")}


_KILLS = [
    pytest.param(["--every", "4"], 15, id="every fourth operation"),
    pytest.param(["--random", "8"], 8, id="any moment"),
    pytest.param(["--pieces", "--every", "16"], 4, id="in pieces, every sixteenth operation"),
    pytest.param(["--pieces"], 50, id="in pieces, every operation", marks=pytest.mark.slow),
    pytest.param([], 50, id="every operation", marks=pytest.mark.slow),
    pytest.param(["--random", "50"], 50, id="many moments", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("words", "least"), _KILLS)
def test_a_kill_leaves_the_last_run_whole_and_the_rerun_is_byte_identical(
    words: list[str], least: int, bundle: Bundle, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.faults.kill_batch", str(bundle.path), str(tmp_path)]
    ended = subprocess.run(
        [*command, *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(ended.stdout)
    assert report["problems"] == []
    assert report["kills"] >= least


@pytest.fixture
def slow_world(bundle: Bundle, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A batch of the command line whose every block takes a while."""
    program = (
        # A shell that started the tests in the background has made them deaf to SIGINT.
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from ncf.scoring.exact import ExactRanker\n"
        "rank = ExactRanker.rank_excluding\n"
        "def slow(*arguments):\n"
        "    time.sleep(0.3)\n"
        "    return rank(*arguments)\n"
        "ExactRanker.rank_excluding = slow\n"
        f"sys.argv = ['ncf', 'batch', '--bundle', {str(bundle.path)!r}, '--out', 'topk',"
        " '--shard-users', '1', '--device', 'cpu', '-k', '5']\n"
        "from ncf.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_run_within_a_shard_and_the_same_command_goes_on(
    number: signal.Signals, slow_world: subprocess.Popen[str], bundle: Bundle, tmp_path: Path
) -> None:
    shared = tmp_path / "topk" / ".ncf-batch"
    deadline = time.monotonic() + 60
    while len(list(shared.glob("*/receipts/part-*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(slow_world.pid, number)
    sent = time.monotonic()
    _, errors = slow_world.communicate(timeout=30)
    assert time.monotonic() - sent < 5
    assert slow_world.returncode == 130
    assert "interrupted with" in errors.splitlines()[-1]
    assert not (tmp_path / "topk" / "LATEST").exists()
    figures = run_batch(Job(bundle.path, tmp_path / "topk", 5, Device.CPU, 1), NOW)
    assert figures["parts_reused"] >= 3
    verify_run(figures["table"], bundle.path)


@pytest.mark.parametrize("strangers", [0, 4000])
def test_a_stop_ends_a_shard_of_many_blocks_or_strangers_within_it(
    strangers: int, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users.csv").write_text(
        "user_id\nu1\n" + "".join(f"stranger {number}\n" for number in range(strangers))
    )
    audience = read_audience(bundle, Filters(users=tmp_path / "users.csv" if strangers else None))
    ranker, counted = ExactRanker.open(bundle, Device.CPU, threads=1), 0
    monkeypatch.setattr(ranker, "step", 2)
    task = Task(audience, ranker, 5)
    require = Task.require_running

    def counting(self: Task, users: int = 1) -> None:
        nonlocal counted
        require(self)
        counted += users
        if counted >= 5:
            self.stop.set()

    monkeypatch.setattr(Task, "require_running", counting)
    with pytest.raises(Stopped):
        score(task, Shard(0, 0, len(audience)))
    assert counted < 10


def test_an_interrupt_cancels_shards_that_have_not_begun(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_batch(replace(_job(bundle, tmp_path), shard_users=1), NOW)
    session = Session.open(open_place(tmp_path), plan)
    begun = []

    def finish(self: Session, number: int, task: Task) -> None:
        assert self.plan == plan
        begun.append(number)
        if number == 0:
            raise KeyboardInterrupt
        task.stop.wait(10)

    monkeypatch.setattr(Session, "finish", finish)
    with pytest.raises(KeyboardInterrupt):
        list(Threads(session, 1).run(plan, range(40)))
    assert len(begun) < 10


def test_a_folder_of_somebody_elses_is_never_cleared_away(bundle: Bundle, tmp_path: Path) -> None:
    thesis = tmp_path / "topk" / ".ncf-batch" / "thesis.txt"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("years of work")
    with pytest.raises(StorageError, match=r"holds 'thesis\.txt'"):
        run_batch(_job(bundle, tmp_path / "topk"), NOW)
    assert thesis.read_text() == "years of work"


def test_what_dead_writers_left_beside_the_runs_goes_and_what_others_did_stays(
    bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / ".LATEST.4711.tmp").write_text("2026")
    (tmp_path / ".20260101T000000Z-0123abcd.4711.tmp").mkdir()
    (tmp_path / ".thesis.4711.tmp").write_text("years of work")
    name = run_batch(_job(bundle, tmp_path), NOW)["run"]
    assert {path.name for path in tmp_path.iterdir()} == {
        *(".runs.lock", ".thesis.4711.tmp", "LATEST", "_history", name),
    }


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"{}", b'{"sequence": "last"}'])
def test_an_old_run_with_a_damaged_manifest_counts_for_nothing_and_is_the_first_to_go(
    content: bytes, bundle: Bundle, tmp_path: Path
) -> None:
    old = tmp_path / "20260101T000000Z-0123abcd"
    old.mkdir()
    (old / "_manifest.json").write_bytes(content)
    first = run_batch(_job(bundle, tmp_path), NOW)["run"]
    assert open_runs(tmp_path).sequence(first) == 1
    second = run_batch(replace(_job(bundle, tmp_path), keep=2), NOW)["run"]
    assert open_runs(tmp_path).names() == [first, second]


PART, RECEIPT = "*/*/part-00001.parquet", "*/receipts/part-00001.parquet.*.json"


def _dies_at(point: str, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(point, dies)
        with pytest.raises(KeyboardInterrupt):
            run_batch(job, NOW)


@pytest.mark.parametrize("damage", ["a part", "the run"])
def test_a_run_damaged_between_its_rename_and_latest_is_made_again(
    damage: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_batch(_job(bundle, tmp_path, k=3), NOW)["run"]
    _dies_at("batch.folder.Folder.replace", _job(bundle, tmp_path), monkeypatch)
    (second,) = [
        path
        for path in tmp_path.iterdir()
        if path.is_dir() and path.name[0] == "2" and path.name != first
    ]
    if damage == "a part":
        (second / "part-00001.parquet").unlink()
    else:
        shutil.rmtree(second)
    verify_run(run_batch(_job(bundle, tmp_path), NOW)["table"], bundle.path)
    verify_run(_latest(tmp_path), bundle.path)


def test_other_inputs_after_a_death_in_the_tidying_leave_the_published_run(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _dies_at("batch.committing.tidy", _job(bundle, tmp_path), monkeypatch)
    published = _latest(tmp_path)
    run_batch(_job(bundle, tmp_path, k=2), NOW)
    verify_run(published, bundle.path)


def test_a_worker_that_fails_fails_the_run_and_loses_no_user(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_batch(_job(bundle, tmp_path, k=3), NOW)["run"]
    rank = ExactRanker.rank_excluding

    def failing(self: ExactRanker, users: object, unwanted: object, k: int) -> TopK:
        if 20 in np.asarray(users):
            raise MemoryError("too many")
        return rank(self, users, unwanted, k)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(ExactRanker, "rank_excluding", failing)
        with pytest.raises(MemoryError):
            run_batch(_job(bundle, tmp_path), NOW)
    assert open_runs(tmp_path).latest() == first
    verify_run(run_batch(_job(bundle, tmp_path), NOW)["table"], bundle.path)


def test_an_exception_inside_the_writer_leaves_no_readable_part(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from batch.tables import write_lists  # noqa: PLC0415 - beside its use

    def breaking(*arguments: object) -> None:
        write_lists(*arguments)  # type: ignore[arg-type]
        raise OSError("the writer broke")

    with monkeypatch.context() as patched:
        patched.setattr("batch.parts.write_lists", breaking)
        with pytest.raises(OSError, match="the writer broke"):
            run_batch(_job(bundle, tmp_path), NOW)
    assert list(tmp_path.rglob("*.parquet*")) == []
    verify_run(run_batch(_job(bundle, tmp_path), NOW)["table"], bundle.path)


def _limited(bundle: Bundle, out: Path, file_bytes: int) -> subprocess.CompletedProcess[str]:
    """Run a batch that may write no file larger than a limit, as on a full disk."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    words = ["batch", "--bundle", str(bundle.path), "--out", str(out), "-k", "5", "--device", "cpu"]
    return subprocess.run(
        [*NCF, *words], capture_output=True, text=True, check=False, preexec_fn=limit
    )


@pytest.mark.parametrize("file_bytes", [0, 100, 2000])
def test_a_disk_that_is_full_is_one_line_and_nothing_half_written(
    file_bytes: int, bundle: Bundle, tmp_path: Path
) -> None:
    first = run_batch(_job(bundle, tmp_path, k=3), NOW)["run"]
    ended = _limited(bundle, tmp_path, file_bytes)
    assert ended.returncode == TEMPORARY
    assert "no space left" in ended.stderr.splitlines()[-1]
    assert open_runs(tmp_path).latest() == first
    verify_run(_latest(tmp_path), bundle.path)
    assert [p for p in tmp_path.rglob("*.parquet") if p.parent.name == "parts"] == []
    verify_run(run_batch(_job(bundle, tmp_path), NOW)["table"], bundle.path)


def test_a_tmpfs_that_fills_up(bundle: Bundle, tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("no unshare(1) here")
    script = (
        'mount -t tmpfs -o size=64k none "$1" || exit 77; cd "$1" || exit 77; shift;'
        ' head -c 40000 /dev/zero > ballast; "$@" --out topk; code=$?;'
        " ls -A topk; rm ballast; exit $code"
    )
    words = [*NCF, "batch", "--bundle", str(bundle.path), "-k", "30", "--shard-users", "5"]
    command = ["unshare", "-Urm", "sh", "-c", script, "sh", str(tmp_path), *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode in {1, 77} and "ncf:" not in ended.stderr:
        pytest.skip(f"no mount namespace here: {ended.stderr.strip()[:80]}")
    assert ended.returncode == TEMPORARY
    assert "no space left" in ended.stderr
    assert "LATEST" not in ended.stdout


@pytest.mark.parametrize("out", ["/proc/topk", "/dev/null/topk", "file/topk"])
def test_a_forbidden_output_is_found_out_before_any_scoring(
    out: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ExactRanker, "rank", lambda *_: pytest.fail("scored"))
    with pytest.raises((StorageError, OSError)):
        run_batch(_job(bundle, Path(out)), NOW)


def test_a_shard_can_be_made_in_another_process_to_the_same_bytes(
    bundle: Bundle, tmp_path: Path
) -> None:
    run_batch(_job(bundle, tmp_path / "topk"), NOW)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from batch.audience import read_audience\n"
        "from batch.filters import Filters\n"
        "from batch.parts import Task, make_part\n"
        "from batch.shards import Shard\n"
        "from ncf.devices import Device\n"
        "from ncf.scoring.bundle import open_bundle\n"
        "from ncf.scoring.exact import ExactRanker\n"
        "bundle = open_bundle(Path(sys.argv[1]))\n"
        "audience = read_audience(bundle, Filters())\n"
        "task = Task(audience, ExactRanker.open(bundle, Device.CPU, 1, audience.eligibility), 5)\n"
        "Path(sys.argv[2]).write_bytes(make_part(task, Shard(2, 14, 21)).content)\n"
    )
    command = [sys.executable, "-c", program, str(bundle.path), str(tmp_path / "part")]
    subprocess.run(command, check=True)
    expected = _latest(tmp_path / "topk") / "part-00002.parquet"
    assert (tmp_path / "part").read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b"\xff", None])
@pytest.mark.parametrize("file", [RECEIPT, "_plan.json", "audience.npz"])
def test_a_damaged_file_of_a_dead_run_is_made_again(
    file: str, damage: bytes | None, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_batch(_job(bundle, tmp_path, k=3), NOW)["run"]
    run_batch(_job(bundle, tmp_path / "undisturbed"), NOW)
    _dies_at("batch.folder.Folder.publish", _job(bundle, tmp_path), monkeypatch)
    (path,) = (tmp_path / ".ncf-batch").glob(file)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if damage is None else damage)
    run_batch(_job(bundle, tmp_path), NOW)
    assert _bytes(_latest(tmp_path)) == _bytes(_latest(tmp_path / "undisturbed"))
    verify_run(_latest(tmp_path), bundle.path)
    verify_run(tmp_path / first, bundle.path)


@pytest.mark.parametrize(("missing", "reused"), [((), 6), ((PART,), 5), ((RECEIPT,), 5)])
def test_a_death_before_the_rename_costs_no_part_that_is_whole_and_has_its_receipt(
    missing: tuple[str, ...],
    reused: int,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _dies_at("batch.folder.Folder.publish", _job(bundle, tmp_path), monkeypatch)
    work = tmp_path / ".ncf-batch"
    chosen = json.loads((work / "_plan.json").read_bytes())["run"]
    for pattern in missing:
        (file,) = work.glob(pattern)
        file.unlink()
    figures = run_batch(_job(bundle, tmp_path), NOW)
    assert (figures["run"], figures["parts_reused"]) == (chosen, reused)
    verify_run(figures["table"], bundle.path)


def test_other_inputs_after_a_death_score_everything_anew(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _dies_at("batch.folder.Folder.publish", _job(bundle, tmp_path), monkeypatch)
    figures = run_batch(_job(bundle, tmp_path, k=2), NOW)
    assert (figures["rows"], figures["parts_reused"]) == (80, 0)


@pytest.mark.parametrize("k", [5, 2], ids=["the same inputs", "others"])
def test_what_a_death_left_half_written_among_the_parts_is_not_published(
    k: int, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _dies_at("batch.folder.Folder.publish", _job(bundle, tmp_path), monkeypatch)
    work = tmp_path / ".ncf-batch"
    (folder,) = (path for path in work.iterdir() if path.is_dir())
    for half in (".4711.tmp", *(f"{folder.name}/{name}/.4711.tmp" for name in ("parts", "aside"))):
        (work / half).write_text("PAR")
    table = Path(run_batch(_job(bundle, tmp_path, k=k), NOW)["table"])
    assert [path.name for path in table.iterdir() if path.name.endswith(".tmp")] == []
    verify_run(table, bundle.path)


def test_a_receipt_that_tells_other_facts_of_a_whole_part_is_not_believed(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _dies_at("batch.folder.Folder.publish", _job(bundle, tmp_path), monkeypatch)
    (receipt,) = (tmp_path / ".ncf-batch").glob(RECEIPT)
    document = json.loads(receipt.read_bytes())
    document["rows"] += 1
    receipt.write_bytes(canonical_json(document))
    figures = run_batch(_job(bundle, tmp_path), NOW)
    assert (figures["rows"], figures["parts_reused"]) == (200, 5)


@pytest.mark.parametrize("name", ["", "..", "thesis"])
def test_a_plan_that_names_no_run_removes_nothing(
    name: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_batch(_job(bundle, tmp_path, k=3), NOW)["run"]
    (tmp_path / "thesis").mkdir()
    _dies_at("batch.folder.Folder.publish", _job(bundle, tmp_path), monkeypatch)
    path = tmp_path / ".ncf-batch" / "_plan.json"
    path.write_bytes(replace(read_plan(path.read_bytes(), path), run=name).content())
    run_batch(_job(bundle, tmp_path, k=2), NOW)
    assert (tmp_path / "thesis").exists()
    verify_run(tmp_path / first, bundle.path)
