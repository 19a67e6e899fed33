"""A bundle behind a URI is copied once, checked, and opened by all; errors name the URI."""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from batch import stores
from batch.bundles import opened
from batch.job import Job
from batch.options import Mode
from batch.pieces import commit_batch
from batch.pipeline import plan_batch, run_batch
from batch.sessions import work
from ncf import artifacts
from ncf.devices import Device
from ncf.errors import ArtifactError, StorageError, UnreachableError, UsageError
from ncf.files import sha256
from ncf.scoring.bundle import Bundle
from tests.batch.pieces import NOW, current, facts, in_pieces, parts
from tests.commands import ncf, refused


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of this test alone."""
    monkeypatch.setenv("NCF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bundles"


@pytest.fixture
def store(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the bundle, to be changed."""
    return Path(shutil.copytree(bundle.path, tmp_path / "far" / "ncf"))


@pytest.fixture
def uri(store: Path) -> str:
    """Its URI."""
    return f"file://{store}"


@pytest.fixture
def bucket(bundle: Bundle, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """URI of the bundle in a bucket."""
    client, address = (request.getfixturevalue(name) for name in ("client", "server"))
    for path in sorted(bundle.path.iterdir()):
        client.upload_file(str(path), "tables", f"store/ncf/{path.name}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    return f"s3://tables/store/ncf?endpoint_override={address}&scheme=http&region=us-east-1"


def _job(bundle: str | Path, out: str | Path) -> Job:
    return Job(bundle, out, 5, Device.CPU, 15, mode=Mode.EXACT)


def test_a_bundle_behind_a_uri_gives_the_table_of_its_folder(
    bundle: Bundle, uri: str, store: Path, cache: Path, tmp_path: Path
) -> None:
    one = run_batch(_job(bundle.path, tmp_path / "one"), NOW)
    far = run_batch(_job(uri, tmp_path / "far-topk"), NOW)
    assert parts(str(tmp_path / "far-topk"), far["run"]) == parts(str(tmp_path / "one"), one["run"])
    assert facts(str(tmp_path / "far-topk"), far["run"]) == facts(str(tmp_path / "one"), one["run"])
    (copy,) = (each for each in cache.iterdir() if not each.name.startswith("."))
    assert copy.name == bundle.digest
    assert {each.name for each in copy.iterdir()} == {each.name for each in store.iterdir()}


def test_plan_work_and_commit_take_a_bucket_and_the_plan_names_it(
    bundle: Bundle, bucket: str, tmp_path: Path
) -> None:
    run_batch(_job(bundle.path, tmp_path / "one"), NOW)
    job = _job(bucket, tmp_path / "topk")
    assert plan_batch(job, NOW).bundle == bucket
    made = in_pieces(job)
    assert parts(str(tmp_path / "topk"), made["run"]) == parts(str(tmp_path / "one"), made["run"])


def test_a_copy_that_is_here_is_opened_without_the_store(
    bundle: Bundle, uri: str, store: Path
) -> None:
    opened(uri)
    shutil.rmtree(store)
    assert opened(uri, bundle.digest).digest == bundle.digest
    with pytest.raises(ArtifactError, match=r"far/ncf: not a bundle \(bundle.json is missing\)"):
        opened(uri)


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_copy_is_made_again(
    damage: str, bundle: Bundle, uri: str, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = opened(uri).path / "users.npy"
    whole = file.read_bytes()
    assert file == cache / bundle.digest / "users.npy"
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(whole[:-1] + (bytes([whole[-1] ^ 1]) if damage == "flip" else b""))
    assert opened(uri, bundle.digest).path == file.parent
    assert file.read_bytes() == whole
    assert "it is copied once more from file://" in caplog.text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("flip", r"file://.*/far/ncf/users.npy: bytes differ from the recorded SHA-256; copy"),
        ("remove", r"file://.*/far/ncf/users.npy: file of the bundle is missing; "),
        ("manifest", r"file://.*/far/ncf: bundle.json: not readable as a manifest; copy"),
        ("gone", r"file://.*/far/ncf: not a bundle \(bundle.json is missing\); "),
    ],
)
def test_what_is_wrong_behind_a_uri_is_said_of_the_uri_and_nothing_stays(
    damage: str, message: str, uri: str, store: Path, cache: Path
) -> None:
    file = store / ("bundle.json" if damage == "manifest" else "users.npy")
    content = file.read_bytes()
    if damage == "gone":
        shutil.rmtree(store)
    elif damage == "remove":
        file.unlink()
    else:
        file.write_bytes(content[:-2] + b"!\n")
    with pytest.raises(ArtifactError, match=message):
        opened(uri)
    assert [each for each in cache.glob("*") if not each.name.startswith(".")] == []
    assert list(cache.glob("*.tmp")) == list(cache.glob(".*.tmp")) == []


def test_a_bundle_that_changes_behind_its_uri_is_not_published_and_not_worked_with(
    screened_bundle: Bundle, uri: str, store: Path, cache: Path, tmp_path: Path
) -> None:
    job = _job(uri, tmp_path / "topk")
    plan = plan_batch(job, NOW)
    for shard in range(plan.shards):
        work(plan, shard, job.out)
    shutil.rmtree(store)
    shutil.copytree(screened_bundle.path, store)
    with pytest.raises(ArtifactError, match=r"file://.*/far/ncf: changed during the run"):
        commit_batch(job.out)
    shutil.rmtree(cache)
    with pytest.raises(ArtifactError, match=rf"another bundle \({screened_bundle.digest[:8]}\)"):
        work(current(str(job.out)), 0, job.out, uri)


def test_processes_at_once_copy_a_bundle_once(bundle: Bundle, uri: str, tmp_path: Path) -> None:
    program = (
        "import sys, logging; logging.basicConfig(level=logging.INFO)\n"
        "from batch.bundles import opened; print(opened(sys.argv[1]).digest)"
    )
    command = [sys.executable, "-c", program, uri]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = [subprocess.Popen(command, text=True, cwd=tmp_path, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    said = [each.communicate(timeout=120) for each in running]
    assert {out for out, _ in said} == {f"{bundle.digest}\n"}, said
    assert sum("copying" in err for _, err in said) == 1, said


def test_copies_that_nobody_opened_for_a_week_go_when_another_comes(
    bundle: Bundle, uri: str, cache: Path
) -> None:
    killed, recent = (f".{letter * 64}.4711.tmp" for letter in "cd")  # copies that did not end
    days = {"a" * 64: 8, "b" * 64: 6, "mine": 90, killed: 8, recent: 6}
    for name, old in days.items():
        (cache / name).mkdir(parents=True)
        os.utime(cache / name, (time.time() - 86400 * old,) * 2)
    opened(uri)
    left = {each.name for each in cache.iterdir() if ".lock" not in each.name}
    assert left == {bundle.digest, "b" * 64, "mine", recent}


def test_a_copy_that_is_removed_while_it_is_opened_is_made_again(
    bundle: Bundle, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = opened(uri).path

    def removed(file: Path) -> str:
        monkeypatch.undo()
        monkeypatch.setenv("NCF_CACHE", str(copy.parent.parent))
        shutil.rmtree(copy)
        return sha256(file)

    monkeypatch.setattr(artifacts, "sha256", removed)
    assert opened(uri, bundle.digest).digest == bundle.digest
    assert copy.is_dir()


def test_a_copy_is_in_use_from_the_moment_that_it_is_opened(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = opened(uri).path
    os.utime(copy, (0, 0))

    def seen(file: Path) -> str:
        assert time.time() - copy.stat().st_mtime < 60
        return sha256(file)

    monkeypatch.setattr(artifacts, "sha256", seen)
    assert opened(uri).path == copy


@pytest.mark.parametrize(
    ("name", "expected"),
    [("NCF_CACHE", "bundles"), ("XDG_CACHE_HOME", "ncf/bundles"), ("HOME", ".cache/ncf/bundles")],
)
def test_the_cache_is_where_one_says(
    name: str, expected: str, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("NCF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, str(tmp_path / "here"))
    cache = opened(uri).path.parent
    assert cache == tmp_path / "here" / expected
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700, "it has histories of people"


def test_a_cache_that_cannot_be_written_is_named(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NCF_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match=r"file/bundles"):
        opened(uri)


@pytest.mark.parametrize(
    ("bundle_uri", "message"),
    [
        ("memory://store/ncf", "is in the memory of one process"),
        ("s3://key:secret@bucket/ncf", r"s3://\*\*\*@bucket/ncf has credentials"),
        ("file://store/ncf", "file://store/ncf is no absolute URI; give file:///FOLDER"),
        ("abfss://box@a.net/ncf?sv=1&sig=abc", r"ncf\?sv=1&sig=\*\*\* has credentials"),
        ("what://bucket/ncf", "what://bucket/ncf: cannot be opened"),
    ],
)
def test_a_uri_that_no_other_machine_could_use_is_refused(
    bundle_uri: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        run_batch(_job(bundle_uri, tmp_path / "topk"), NOW)
    assert not (tmp_path / "topk").exists()


def test_a_store_that_does_not_answer_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    uri = "s3://tables/ncf?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    with pytest.raises(UnreachableError, match="tables/ncf"):
        run_batch(_job(uri, tmp_path / "topk"), NOW)


def test_a_store_that_does_not_say_where_a_bucket_is_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def from_uri(_: str) -> object:
        raise OSError(
            "When resolving region for bucket 'tables': AWS Error NETWORK_CONNECTION during "
            "HeadBucket operation: curlCode: 6, Could not resolve hostname"
        )

    monkeypatch.setattr(
        stores, "fs", SimpleNamespace(FileSystem=SimpleNamespace(from_uri=from_uri))
    )
    with pytest.raises(UnreachableError, match=r"s3://tables/ncf: .*NETWORK_CONNECTION.*; check"):
        run_batch(_job("s3://tables/ncf", tmp_path / "topk"), NOW)


def test_the_command_takes_a_uri_and_work_may_take_another(
    uri: str, store: Path, cache: Path, tmp_path: Path
) -> None:
    words = ["--out", "topk", "--shard-users", 15, "--device", "cpu", "--json"]
    planned = json.loads(ncf("batch", "plan", "--bundle", uri, *words, cwd=tmp_path).out)
    shutil.rmtree(cache)
    moved = store.rename(store.parent / "moved")
    asked = ["batch", "work", "--out", "topk"]
    assert "not a bundle" in refused(*asked, cwd=tmp_path)
    assert ncf(*asked, "--bundle", f"file://{moved}", cwd=tmp_path).code == 0
    ended = ncf("batch", "commit", "--out", "topk", "--bundle", f"file://{moved}", cwd=tmp_path)
    assert ended.code == 0, ended
    assert planned["run"] in ended.out


def test_a_plan_whose_folder_is_not_here_says_so(
    bundle: Bundle, store: Path, tmp_path: Path
) -> None:
    job = replace(_job(store, tmp_path / "topk"))
    plan = plan_batch(job, NOW)
    store.rename(store.parent / "elsewhere")
    with pytest.raises(ArtifactError, match=r"far/ncf: the plan's bundle is not here; put it"):
        work(plan, 0, job.out)
    assert work(plan, 0, job.out, store.parent / "elsewhere").shard == 0
    assert work(plan, 1, job.out, bundle.path).shard == 1
