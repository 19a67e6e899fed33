"""Run a command of an engine's environment, and know every process that came of it."""

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from batch.engines.spark_java import require_java
from ncf.errors import CapabilityError
from tests.packaging.requirements import ROOT

ENGINES = ROOT / ".engines"
DATE = "2026-11-26"
"""Of every batch here, so that its run has the same name however it is made."""
_MARK = "NCF_TEST_MARK"


def require(engine: str) -> None:
    """Skip a test unless 'make engines' runs it, which makes the environment first."""
    if "NCF_ENGINES" not in os.environ:
        pytest.skip("'make engines' runs it")
    assert (ENGINES / engine / ".complete").exists(), "run 'make engines'"
    if engine == "spark":
        try:
            require_java()
        except CapabilityError as error:
            pytest.skip(str(error))


def require_namespaces(*words: str) -> None:
    """Skip a test if this machine gives nobody namespaces of their own, or has not the commands.

    Parameters
    ----------
    words : sequence of str
        Command that runs another one in namespaces.
    """
    for each in ("unshare", "ip"):
        if shutil.which(each) is None:
            pytest.skip(f"there is no '{each}' here (util-linux, iproute2)")
    tried = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"namespaces are not allowed here ({tried.stderr.strip()})")


class Command:
    """A command that runs, with all processes that it has started, wherever they hang now.

    Parameters
    ----------
    words : sequence of str or Path
        The command.
    cwd : Path
        Where it runs.
    env : mapping, optional
        What to add to the environment.
    """

    def __init__(self, *words: object, cwd: Path, **env: str) -> None:
        self._mark = uuid.uuid4().hex
        self._process = subprocess.Popen(
            list(map(str, words)),
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", **env, _MARK: self._mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def runs(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self, timeout: float = 240) -> "subprocess.CompletedProcess[str]":
        """Wait for the end; its exit code, and what it printed."""
        out, err = self._process.communicate(timeout=timeout)
        return subprocess.CompletedProcess((), self._process.returncode, out, err)

    def close(self) -> None:
        """Close the pipes of a command that has ended."""
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def processes(self) -> list[psutil.Process]:
        """All processes that carry the mark of this command."""
        return [each for each in psutil.process_iter() if _mark_of(each) == self._mark]

    def addresses(self) -> set[str]:
        """Addresses that its processes listen at."""
        found = set[str]()
        for process in self.processes():
            try:
                listening = process.net_connections("inet")
            except psutil.Error:
                continue
            found |= {each.laddr.ip for each in listening if each.status == psutil.CONN_LISTEN}
        return found

    def gone(self, seconds: float = 0) -> bool:
        """Whether all of them are gone, or are so within some seconds."""
        deadline = time.monotonic() + seconds
        while self.processes():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.1)
        return True


@contextmanager
def running(*words: object, cwd: Path, **env: str) -> Iterator[Command]:
    """Run a command; at the end of the block, nothing of it runs any more."""
    command = Command(*words, cwd=cwd, **env)
    try:
        yield command
    finally:
        for process in command.processes():
            process.kill()
        command.close()


def receipts(out: Path) -> int:
    """Count the receipts of an unfinished run."""
    return len(list(out.glob(".ncf-batch/*/receipts/*")))


def wait_for(count: int, out: Path, command: Command, seconds: float = 300) -> None:
    """Wait until so many receipts are there."""
    deadline = time.monotonic() + seconds
    while receipts(out) < count:
        if not command.runs():
            raise AssertionError(command.ended())
        assert time.monotonic() < deadline, f"{receipts(out)} receipts after {seconds} s"
        time.sleep(0.05)


def _mark_of(process: psutil.Process) -> str | None:
    """Read the mark in a process's environment; None of one that is gone or a zombie."""
    try:
        found = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    mark = f"{_MARK}=".encode()
    return next((each[len(mark) :].decode() for each in found if each.startswith(mark)), None)
