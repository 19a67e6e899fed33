"""One writer at a time; and nobody removes what somebody reads."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

try:
    import fcntl
except ModuleNotFoundError:  # Windows: there readers and removers do not know of each other
    fcntl = None  # type: ignore[assignment]

from ncf.errors import LockedError
from ncf.files import storage_errors


@contextmanager
def writer_lock(target: Path) -> Iterator[None]:
    """Hold the right to write ``target``; the lock dies with its process.

    Raises
    ------
    LockedError
        Another process holds it; the message gives its pid.
    """
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(f".{target.name}.lock"))
        # filelock empties the lock file whenever it opens it, so the pid lies in a file beside it.
        holder = target.with_name(f".{target.name}.lock.pid")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            # A shared disk may have the holder on another machine; some disks have no locks.
            pid = _holder_of(holder)
            raise LockedError(
                f"another process (pid {pid}) is writing this",
                where=target,
                remedy="wait for it to end, or choose another output folder",
            ) from None
        holder.write_text(f"{os.getpid()} on {socket.gethostname()}\n")
    try:
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def reader_lock(file: Path) -> Iterator[bool]:
    """Hold a file against :func:`removal_lock`, with other readers; gives whether it is there.

    Nothing is written: readers need no right to.
    """
    with _shared_or_not(file, exclusive=False) as held:
        yield held and file.exists()


@contextmanager
def removal_lock(file: Path) -> Iterator[bool]:
    """Hold a file alone; gives False where a reader holds it."""
    with _shared_or_not(file, exclusive=True) as held:
        yield held


def _holder_of(note: Path) -> str:
    """Pid that a writer noted; it may end, and remove its note, at any moment."""
    try:
        return note.read_text(errors="replace").strip() or "unknown"
    except OSError:
        return "unknown"


@contextmanager
def _shared_or_not(file: Path, *, exclusive: bool) -> Iterator[bool]:
    try:
        # An exclusive lock on NFS needs a file open for writing.
        descriptor = os.open(file, os.O_RDWR if exclusive else os.O_RDONLY)
    except FileNotFoundError:
        yield exclusive  # nothing there for anybody to read
        return
    try:
        # The body of the with statement runs within the yield: its errors are none of a lock's.
        yield _locked(descriptor, exclusive=exclusive)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, *, exclusive: bool) -> bool:
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
    except BlockingIOError:
        return False
    return True
