"""Lock files: one writer at a time, and no removal while somebody reads."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

try:
    import fcntl
except ModuleNotFoundError:  # Windows, where readers and removers do not lock each other out
    fcntl = None  # type: ignore[assignment]

from ncf.errors import LockedError
from ncf.files import storage_errors


@contextmanager
def writer_lock(target: Path) -> Iterator[None]:
    """Lock ``target`` for writing; the lock ends with its process.

    Raises
    ------
    LockedError
        Another process holds it; the message gives its pid.
    """
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(f".{target.name}.lock"))
        # filelock empties the lock file when it opens it, so the pid is in a file beside it.
        holder = target.with_name(f".{target.name}.lock.pid")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            # On a shared disk the holder may be on another machine; some disks have no locks.
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
    """Lock a file against :func:`removal_lock`, shared with readers; yield whether it exists.

    Nothing is written, so readers need no permission to write.
    """
    with _shared_or_not(file, exclusive=False) as held:
        yield held and file.exists()


@contextmanager
def removal_lock(file: Path) -> Iterator[bool]:
    """Lock a file exclusively; yield False if a reader holds it."""
    with _shared_or_not(file, exclusive=True) as held:
        yield held


def _holder_of(note: Path) -> str:
    """Read the pid that a writer noted; the note may vanish at any moment."""
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
        yield exclusive  # the file does not exist, so nobody can read it
        return
    try:
        # The body of the with statement runs within the yield; its errors are not the lock's.
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
