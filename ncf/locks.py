"""One writer at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

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
            pid = holder.read_text().strip() if holder.exists() else "unknown"  # or no locks here
            raise LockedError(
                f"another process (pid {pid}) is writing this",
                where=target,
                remedy="wait for it to end, or choose another output folder",
            ) from None
        holder.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
