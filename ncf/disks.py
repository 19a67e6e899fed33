"""Calls that not every disk has: flush a file or a folder, swap two folders in one step."""

import ctypes
import errno
import os
import shutil
import sys
from pathlib import Path

from ncf.volumes import keeps_within

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# What file systems of networks and FUSE answer where they have no such call.
_NO_SUCH_CALL = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EROFS}


def fsync(path: Path) -> None:
    """Flush a file's or a folder's content to the disk.

    Windows has no such call for folders (its file system keeps a journal of names), and can flush
    a file only if it is open for writing. Some file systems of networks and FUSE have no such call
    either, or let nobody open a folder.
    """
    windows = sys.platform == "win32"
    folder = path.is_dir()
    if windows and folder:
        return
    try:
        descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    except OSError as error:
        if folder and error.errno in {*_NO_SUCH_CALL, errno.EACCES, errno.EPERM, errno.EISDIR}:
            return
        raise
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)


def flush(descriptor: int) -> None:
    """Flush an open file to the disk, where its file system has such a call."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise


def flush_tree(folder: Path) -> None:
    """Flush every file under a folder to the disk, then the folders."""
    for path in sorted(folder.rglob("*"), reverse=True):
        fsync(path)
    fsync(folder)


def swap_folder(new: Path, target: Path) -> None:
    """Put a new folder in the place of an old one, in one step where the system can.

    Raises
    ------
    OSError
        The old folder cannot be renamed: see :data:`ncf.volumes.UNMOVABLE`.
    """
    if keeps_within(target):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), target)
    if not target.exists():
        new.rename(target)
    elif not _exchange(new, target):
        # This system has no atomic exchange: the old folder is moved aside for an instant.
        old = target.with_name(f".{target.name}.{os.getpid()}.old.tmp")
        target.rename(old)
        try:
            new.rename(target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)  # NFS keeps what a reader has open: swept later


def _exchange(first: Path, second: Path) -> bool:
    """Swap two paths in one step (Linux ``renameat2``); return False if the system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    arguments = (_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    return bool(renameat2(*arguments) == 0)
