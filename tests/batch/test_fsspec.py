"""Places that are no local folder and no bucket: what fsspec knows, and disks with renames."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyarrow import fs

from batch.bucket import Bucket
from batch.job import Job
from batch.pipeline import run_batch
from batch.places import current_plan, open_place
from batch.published import read_latest
from batch.runs import LATEST_FILE, Runs, local_copy, open_runs
from batch.verify import verify_run
from ncf.devices import Device
from ncf.errors import ArtifactError, StorageError, UnreachableError, UsageError
from ncf.scoring.bundle import Bundle

FIRST = "20261124T030000Z-0123abcd"
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def _job(bundle: Bundle, out: str | Path, k: int = 5) -> Job:
    return Job(bundle.path, out, k, Device.CPU, 15)


def _replaced_before(job: Job, days: Iterator[int]) -> object:
    """Copy as ever, but so many times publish another run first, and remove the last."""

    def copy(place: str) -> AbstractContextManager[Path]:
        if (day := next(days, None)) is not None:
            run_batch(replace(job, keep=1), NOW + timedelta(days=day))
        return local_copy(place)

    return copy


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place of this test alone, with its unfinished runs in a cache of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"memory://{uuid.uuid4().hex}/topk"


@pytest.mark.parametrize("end", ["", "/"])
def test_a_table_in_memory_is_that_of_a_folder(
    end: str, place: str, bundle: Bundle, tmp_path: Path
) -> None:
    figures = run_batch(_job(bundle, place + end), NOW)
    run_batch(_job(bundle, tmp_path / "topk"), NOW)
    pd.testing.assert_frame_equal(read_latest(place + end), read_latest(tmp_path / "topk"))
    name = open_runs(place).latest()
    assert name == figures["run"]
    assert verify_run(f"{place}/{name}", bundle.path)["users"] == 40


@pytest.mark.parametrize("times", [1, 4])
def test_a_run_replaced_while_it_is_read_gives_way_to_the_newest(
    times: int, place: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_batch(_job(bundle, place), NOW)
    days = iter(range(1, times + 1))
    monkeypatch.setattr(
        "batch.published.local_copy", _replaced_before(_job(bundle, place, 3), days)
    )
    assert set(read_latest(place)["rank"]) == {1, 2, 3}
    assert next(days, None) is None


def test_a_table_that_is_replaced_at_every_look_is_given_up(
    place: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_batch(_job(bundle, place), NOW)
    days = iter(range(1, 20))
    monkeypatch.setattr(
        "batch.published.local_copy", _replaced_before(_job(bundle, place, 3), days)
    )
    with pytest.raises(ArtifactError, match="replaced faster than it can be read"):
        read_latest(place)
    assert next(days, None) is not None


class Watched:
    """A file system that notes what is done to it, may call itself another, and may break off."""

    def __init__(self, folder: Path, kind: str = "subtree") -> None:
        self._system = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
        self.type_name = kind
        self.breaks = False
        self.done: list[tuple[str, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def method(*words: Any, **options: Any) -> Any:  # noqa: ANN401 - passed on
            self.done.append((name, *words))
            if self.breaks and name == "open_output_stream":
                with self._system.open_output_stream(*words) as stream:
                    stream.write(b"2")
                raise OSError("the line went dead")
            return getattr(self._system, name)(*words, **options)

        return method


def test_folders_above_a_new_place_are_made(tmp_path: Path) -> None:
    system = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    runs = Runs(system, "tables/night/topk", None)
    destination = Bucket(runs, "", tmp_path / "work")
    destination.prepare()
    assert list((tmp_path / "tables" / "night" / "topk").iterdir()) == []
    destination.replace(LATEST_FILE, FIRST.encode())
    assert runs.latest() == FIRST


def test_a_write_that_breaks_off_leaves_latest_as_it_was(tmp_path: Path) -> None:
    system = Watched(tmp_path)
    runs = Runs(system, "topk", None)
    destination = Bucket(runs, "", tmp_path / "work")
    destination.prepare()
    destination.replace(LATEST_FILE, FIRST.encode())
    system.breaks = True
    with pytest.raises(UnreachableError, match="the line went dead"):
        destination.replace(LATEST_FILE, b"20261125T030000Z-0123abcd")
    assert runs.latest() == FIRST
    assert [path.name for path in (tmp_path / "topk").iterdir()] == ["LATEST"]


@pytest.mark.parametrize("kind", ["s3", "gcs", "abfs"])
def test_where_objects_appear_whole_none_is_renamed_and_no_folder_made(
    kind: str, tmp_path: Path
) -> None:
    (tmp_path / "topk").mkdir()
    system = Watched(tmp_path, kind)
    Bucket(Runs(system, "topk", None), "", tmp_path / "work").replace(LATEST_FILE, FIRST.encode())
    assert system.done == [("open_output_stream", "topk/LATEST")]


def test_unfinished_runs_of_two_places_lie_apart(
    place: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("batch.bucket.Bucket.publish", dies)
        for each in (place, f"{place}-other"):
            with pytest.raises(KeyboardInterrupt):
                run_batch(_job(bundle, each), NOW)
    plans = [current_plan(open_place(each)) for each in (place, f"{place}-other")]
    assert None not in plans
    assert run_batch(_job(bundle, place), NOW)["parts_reused"] == 3
    assert current_plan(open_place(place)) is None
    assert current_plan(open_place(f"{place}-other")) == plans[1]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files, and no home at all."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_without_a_setting_the_lock_lies_among_temporary_files_for_this_user_alone(
    place: str, bundle: Bundle, temporary: Path
) -> None:
    run_batch(_job(bundle, place), NOW)
    own = temporary / f"ncf-{os.getuid()}"
    assert list((own / "batch").iterdir())
    assert own.stat().st_mode & 0o077 == 0


def test_a_temporary_folder_that_somebody_else_prepared_is_refused(
    place: str, bundle: Bundle, temporary: Path, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    (temporary / f"ncf-{os.getuid()}").symlink_to(tmp_path / "theirs")
    with pytest.raises(StorageError, match="belongs to somebody else; give `work`"):
        run_batch(_job(bundle, place), NOW)
    assert not list((tmp_path / "theirs").iterdir())


def test_a_kind_of_place_that_nobody_knows_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"nonsense://x: cannot be opened .*; give a folder, s3://"
    ):
        open_runs("nonsense://x")
