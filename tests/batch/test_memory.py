"""The peak memory that a manifest states is in bytes on every platform."""

import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from batch import memory

_KIB = 1 << 10


def test_the_peak_is_at_least_what_is_held_now_and_not_a_thousand_times_as_much() -> None:
    held = psutil.Process().memory_info().rss
    assert held / 2 <= memory.peak_memory() < 1000 * held


@pytest.mark.parametrize(("platform", "unit"), [("linux", _KIB), ("darwin", 1), ("freebsd", _KIB)])
def test_what_getrusage_says_is_read_in_the_unit_of_the_platform(
    platform: str, unit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(ru_maxrss=300)
    with monkeypatch.context() as patch:
        patch.setattr(memory, "_STATUS", tmp_path / "missing")
        patch.setattr(resource, "getrusage", lambda _: usage)
        patch.setattr(sys, "platform", platform)
        assert memory.peak_memory() == 300 * unit


def test_windows_tells_the_largest_working_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=5000))
    with monkeypatch.context() as patch:
        patch.setattr(memory, "_STATUS", tmp_path / "missing")
        patch.setattr(psutil, "Process", lambda: process)
        patch.setattr(sys, "platform", "win32")
        assert memory.peak_memory() == 5000


@pytest.mark.skipif(sys.platform != "linux", reason="compares the two sources of Linux")
def test_both_sources_agree_on_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = memory.peak_memory()
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "missing")
    assert memory.peak_memory() == pytest.approx(exact, rel=0.5)
