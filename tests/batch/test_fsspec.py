"""A place that fsspec knows and Arrow does not: here, memory."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from batch.job import Job
from batch.run import run
from batch.runs import open_runs, read_latest
from batch.verify import verify_run
from ncf.devices import Device
from ncf.errors import UsageError
from ncf.scoring.bundle import Bundle

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def _job(bundle: Bundle, out: str | Path, k: int = 5) -> Job:
    return Job(bundle.path, out, k, Device.CPU, 15)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place of this test alone, with its unfinished runs in a cache of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"memory://{uuid.uuid4().hex}/topk"


@pytest.mark.parametrize("end", ["", "/"])
def test_a_table_in_memory_is_that_of_a_folder(
    end: str, place: str, bundle: Bundle, tmp_path: Path
) -> None:
    figures = run(_job(bundle, place + end), NOW)
    run(_job(bundle, tmp_path / "topk"), NOW)
    pd.testing.assert_frame_equal(read_latest(place + end), read_latest(tmp_path / "topk"))
    name = open_runs(place).latest()
    assert name == figures["run"]
    assert verify_run(f"{place}/{name}", bundle.path)["users"] == 40


def test_unfinished_runs_of_two_places_lie_apart_in_the_cache(
    place: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("batch.destination.Bucket.publish", dies)
        for each in (place, f"{place}-other"):
            with pytest.raises(KeyboardInterrupt):
                run(_job(bundle, each), NOW)
    left = list((tmp_path / "cache" / "ncf" / "batch").glob("*/.ncf-batch"))
    assert len(left) == 2
    assert run(_job(bundle, place), NOW)["parts_reused"] == 3
    assert not left[0].exists() or not left[1].exists()


def test_without_a_setting_the_cache_is_under_the_home_folder(
    place: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    run(_job(bundle, place), NOW)
    assert list((tmp_path / "home" / ".cache" / "ncf" / "batch").iterdir())


def test_a_kind_of_place_that_nobody_knows_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"nonsense://x: cannot be opened .*; give a folder, s3://"
    ):
        open_runs("nonsense://x")
