"""Lock files: one writer at a time, and no removal while somebody reads.

Some file systems of networks and FUSE have no locks. There writers take a file that says who
writes, and readers and removers do not know of each other; a line says so, once.
"""

import errno
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

try:
    import fcntl
except ModuleNotFoundError:  # Windows, where readers and removers do not lock each other out
    fcntl = None  # type: ignore[assignment]

from ncf.errors import LockedError
from ncf.files import storage_errors
from ncf.volumes import beside

logger = logging.getLogger(__name__)

_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOLCK}


def this_host() -> str:
    """Name this machine."""
    return socket.gethostname()


@contextmanager
def writer_lock(target: Path, *, seconds: float = 0) -> Iterator[None]:
    """Lock ``target`` for writing; the lock ends with its process.

    Parameters
    ----------
    target : Path
        What is written.
    seconds : float
        How long to wait for another holder.

    Raises
    ------
    LockedError
        Another process holds it; the message gives its pid.
    """
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        # filelock empties the lock file when it opens it, so the pid is in a file beside it.
        holder = beside(target, "lock.pid")
        lock = _locks_of(beside(target, "lock"))
        try:
            lock.acquire(timeout=seconds)
        except Timeout:
            # On a shared disk the holder may be on another machine.
            soft = isinstance(lock, SoftFileLock)
            unless = f" (if it is dead, remove {lock.lock_file})" if soft else ""
            raise LockedError(
                f"another process (pid {_holder_of(holder)}) is writing this",
                where=target,
                remedy=f"wait for it to end{unless}, or choose another output folder",
            ) from None
        holder.write_text(f"{os.getpid()} on {this_host()}\n")
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


def _locks_of(path: Path) -> BaseFileLock:
    """Choose a lock: one of the file system, or a file that names its writer where it has none."""
    try:
        # A file of its own: the lock itself may be taken by others meanwhile.
        with TemporaryFile(dir=path.parent) as probe:
            if fcntl is not None:
                fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # any other is better told of the lock's own file
        if error.errno in _NO_LOCKS:
            _warn_of_no_locks()
            return SoftFileLock(path.with_name(f"{path.name}.soft"))
    return FileLock(path)


@cache
def _warn_of_no_locks() -> None:
    logger.warning(
        "the file system has no locks (flock): going on without; run one writer at a time"
    )


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
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _warn_of_no_locks()
    return True
