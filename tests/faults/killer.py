"""Run work in forked children and let something go wrong: at a chosen file operation, or any time.

How it knows of file operations: Python tells audit hooks (PEP 578) of every file that it opens,
renames, links or removes and of every call through ctypes, before it does so. A hook may kill the
process there, or raise, which the caller sees as the operation's own error. The other way, a
library preloaded in front of libc (``LD_PRELOAD``), would also see what C++ code does (Arrow
writing a Parquet file), but needs a compiler where the tests run, differs between systems, cannot
be armed in one forked child alone, and counts the interpreter's own reading of modules too. What
it would add are kills in the middle of writing one file aside: those the random kills hit.

Use it from a process of one thread.
"""

import errno
import itertools
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ncf.cli.batch
from tests.commands import Ended

if TYPE_CHECKING:
    from _typeshed import HasFileno

Work = Callable[[], object]

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
_YEARS_AGO = datetime(2016, 2, 29, 23, 59, tzinfo=UTC)
_LONGEST = 120  # seconds of a child
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Outcome(NamedTuple):
    """How a child ended: what its command did, or that a signal ended it."""

    ended: Ended | None
    signal: int = 0


def disk_error(number: int) -> Callable[[], None]:
    """Fail as a disk does, with ``errno.EIO`` or another."""

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    return fail


def kill() -> None:
    """End this process on the spot."""
    os.kill(os.getpid(), signal.SIGKILL)


class Watch:
    """Counts this process's file operations, and lets something happen before one of them.

    Parameters
    ----------
    before : int
        Number of the operation, from 1; 0 only counts.
    happen : callable
        Called then.
    folder : Path, optional
        Only operations on files under it count, and calls through ctypes (a rename).
    reads : bool
        Whether opening a file to read it counts.
    """

    def __init__(
        self,
        before: int = 0,
        happen: Work = kill,
        folder: Path | None = None,
        *,
        reads: bool = False,
    ) -> None:
        self.count = 0
        self._before = before
        self._happen = happen
        self._folder = None if folder is None else str(folder)
        self._reads = reads
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._counts(event, arguments):
            self.count += 1
            if self.count == self._before:
                self._happen()

    def _counts(self, event: str, arguments: tuple[object, ...]) -> bool:
        if event.startswith("ctypes.call"):
            return True
        if event == "open":
            flags = arguments[2]
            writes = isinstance(flags, int) and bool(flags & _WRITES)
            return (writes or self._reads) and self._is_inside(arguments[0])
        return event in _CHANGES and self._is_inside(arguments[0])

    def _is_inside(self, path: object) -> bool:
        if self._folder is None:
            return True
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        return os.path.abspath(os.fsdecode(path)).startswith(self._folder)  # noqa: PTH100 - Path's resolve opens


def outcome(work: Callable[[], Ended], arm: Work = lambda: None) -> Outcome:
    """Run a command in a child, after ``arm`` there; an exception of it is exit code 1."""

    def told() -> Ended:
        arm()
        try:
            return work()
        except BaseException:  # noqa: BLE001 - whatever it is, it is reported
            return Ended(1, "", traceback.format_exc())

    status, answer = _ask(told)
    return Outcome(answer, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)


def operations(work: Work, folder: Path | None = None, *, reads: bool = False) -> int:
    """Run work to its end and count its file operations."""

    def counted() -> int:
        watch = Watch(folder=folder, reads=reads)
        work()
        return watch.count

    status, count = _ask(counted)
    if count is None:
        raise RuntimeError(f"the work did not end by itself (wait status {status})")
    return int(count)


def succeeds(work: Work) -> bool:
    """Run work to its end; whether it raised nothing."""
    _, status = os.waitpid(_fork(work), 0)
    return status == 0


def killed_before(work: Work, operation: int) -> bool:
    """Run work until a file operation, from 1; whether it came to that."""

    def until() -> None:
        Watch(operation)
        work()

    _, status = os.waitpid(_fork(until), 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def killed_after(work: Work, seconds: float) -> bool:
    """Run work for some time; whether it was still running."""
    pid = _fork(work)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def small_files(most: int) -> None:
    """Let this process write no file larger than so many bytes, as on a disk that fills up."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def remount(folder: Path, mode: str) -> None:
    """Make a small disk of our own read-only (``ro``), or writable again (``rw``)."""
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)  # noqa: S607 - the one there is


def set_clock(zone: str) -> None:
    """Set this process's clock back by years, and its zone."""
    os.environ["TZ"] = zone
    time.tzset()
    time.time = _YEARS_AGO.timestamp

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Clock":
            del tz
            return cls.fromtimestamp(_YEARS_AGO.timestamp(), UTC)

    vars(ncf.cli.batch)["datetime"] = Clock


def failing_flush(call: int) -> None:
    """Let the ``call``-th flush of this process to the disk fail: no audit hook hears of those."""
    flush, calls = os.fsync, itertools.count(1)

    def fsync(fd: "int | HasFileno") -> None:
        if next(calls) == call:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        flush(fd)

    os.fsync = fsync


def _ask(work: Callable[[], Any]) -> tuple[int, Any]:
    """Run work in a child; its wait status, and what it returned (None if it did not)."""
    reading, writing = os.pipe()

    def told() -> None:
        os.write(writing, pickle.dumps(work()))

    pid = _fork(told)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(pid, 0)
    return status, pickle.loads(content) if content else None  # noqa: S301 - from our own child


def _fork(work: Work) -> int:
    """Run work in a child; the child's pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        signal.alarm(_LONGEST)  # rather the end by a signal, which is noticed, than a hang
        try:
            work()
            code = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return pid
