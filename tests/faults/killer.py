"""Run work in forked children, and kill them: before a chosen file operation, or at any moment.

Python tells audit hooks of every file it opens, renames or removes, so that neither a compiler nor
the right to trace processes is needed. Use it from a process of one thread.
"""

import os
import signal
import sys
import time
from collections.abc import Callable

Work = Callable[[], object]

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _changes_files(event: str, arguments: tuple[object, ...]) -> bool:
    if event == "open":
        return isinstance(arguments[2], int) and bool(arguments[2] & _WRITES)
    return event in _CHANGES or event.startswith("ctypes.call")


class _Counter:
    """Counts file operations, and kills the process before one of them."""

    def __init__(self, kill_before: int) -> None:
        self.count = 0
        self._kill_before = kill_before
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if _changes_files(event, arguments):
            self.count += 1
            if self.count == self._kill_before:
                os.kill(os.getpid(), signal.SIGKILL)


def _fork(work: Callable[[], int]) -> int:
    """Run work in a child; the child's pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = work()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return pid


def succeeds(work: Work) -> bool:
    """Run work to its end; whether it raised nothing."""

    def quietly() -> int:
        work()
        return 0

    _, status = os.waitpid(_fork(quietly), 0)
    return status == 0


def operations(work: Work) -> int:
    """Run work to its end and count its file operations."""
    reading, writing = os.pipe()

    def counted() -> int:
        counter = _Counter(0)
        work()
        os.write(writing, str(counter.count).encode())
        return 0

    os.waitpid(_fork(counted), 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return int(pipe.read())


def killed_before(work: Work, operation: int) -> bool:
    """Run work until a file operation, from 1; whether it came to that."""

    def until() -> int:
        _Counter(operation)
        work()
        return 0

    _, status = os.waitpid(_fork(until), 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def killed_after(work: Work, seconds: float) -> bool:
    """Run work for some time; whether it was still running."""

    def quietly() -> int:
        work()
        return 0

    pid = _fork(quietly)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True
