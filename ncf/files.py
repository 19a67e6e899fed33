"""Files and folders that appear whole or not at all, and the one digest function.

Everything the toolkit writes goes aside first, is flushed to the disk, and is then renamed into
place, so that a reader (or a crash) sees the old version or the new one and nothing in between.
"""

import ctypes
import errno
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ncf.errors import FullDiskError, StorageError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# A target, and what its writers keep beside it.
_OWN = r"{0}|\.{0}\.(\d+(\.\w+)?\.tmp|lock(\.pid)?|work|study)"
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR}


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of bytes in memory, as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def fsync(path: Path) -> None:
    """Flush a file's or a folder's content to the disk.

    Windows has no such call for folders (its file system keeps a journal of names), and flushes
    a file only where it is open for writing.
    """
    windows = sys.platform == "win32"
    if windows and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def storage_errors(target: Path) -> Iterator[None]:
    """Turn a full disk, or a place that cannot be written, into one line that names it.

    Errors about other files, such as an input that may not be read, pass as they are.

    Raises
    ------
    FullDiskError
        The disk is full.
    StorageError
        ``target`` cannot be written.
    """
    check_target(target)
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise FullDiskError(
                f"no space left on the disk ({_free_bytes(target):,} bytes free)", where=target
            ) from error
        if error.errno in _FORBIDDEN and _concerns(error, target):
            raise StorageError(
                f"cannot write here ({error.strerror})",
                where=target,
                remedy="choose another output folder or change its permissions",
            ) from error
        raise


def is_full(error: OSError) -> bool:
    """Whether an error says that the disk, a quota or the largest file size is used up."""
    # pyarrow raises errors without errno: look at the text as well.
    return error.errno in _FULL or "No space left" in str(error)


def check_target(target: Path) -> None:
    """Refuse a path that names no file or folder, such as ``.``.

    Raises
    ------
    StorageError
        It has no name.
    """
    if not target.name or target.name == "..":
        raise StorageError("not the name of a file or folder to write", where=target)


@contextmanager
def atomic_file(target: Path, *, clean: bool = True) -> Iterator[BinaryIO]:
    """Open a file aside; on success flush it and rename it to ``target``, on failure remove it.

    The caller holds :func:`ncf.locks.writer_lock`: leftovers of dead writers are swept here,
    unless ``clean`` says that the caller has done so for a folder of many files.
    """
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if clean:
            sweep(target.parent, re.escape(target.name))
        aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with aside.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            aside.replace(target)
            fsync(target.parent)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path, before_swap: Callable[[], object] | None = None) -> Iterator[Path]:
    """Fill a folder aside; on success swap it for ``target`` in one step, else remove it.

    The caller holds :func:`ncf.locks.writer_lock`: leftovers of dead writers are swept here.
    ``before_swap`` is called when all is on the disk and nothing is left but the swap.
    """
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, re.escape(target.name))
        aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        aside.mkdir()
        try:
            yield aside
            flush_tree(aside)
            if before_swap:
                before_swap()
            _swap_folder(aside, target)
            fsync(target.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """Give a folder beside ``target`` that is removed in the end; the caller holds its lock."""
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, re.escape(target.name))
        folder = target.with_name(f".{target.name}.{os.getpid()}.scratch.tmp")
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_aside(folder: Path, target: Path) -> None:
    """Remove a folder that belongs to ``target``, as a whole: a death leaves no half of it.

    What a death does leave, :func:`sweep` removes; the caller holds the target's lock.
    """
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    if folder.exists():
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def sweep(folder: Path, names: str) -> None:
    """Remove what dead writers left beside their targets; the caller holds their lock.

    Parameters
    ----------
    folder : Path
        Where the targets lie.
    names : str
        Regular expression of the targets' names.
    """
    leftover = re.compile(rf"\.({names})\.\d+(\.old|\.scratch)?\.tmp")
    for stale in sorted(folder.iterdir()) if folder.exists() else ():
        found = leftover.fullmatch(stale.name)
        if found and found[2] == ".old" and not (folder / found[1]).exists():
            stale.rename(folder / found[1])  # killed while the old version stood aside
        elif found and stale.is_dir() and not stale.is_symlink():
            shutil.rmtree(stale)
        elif found:
            stale.unlink()


def flush_tree(folder: Path) -> None:
    """Flush every file under a folder, then the folders, to the disk."""
    for path in sorted(folder.rglob("*"), reverse=True):
        fsync(path)
    fsync(folder)


def _swap_folder(new: Path, target: Path) -> None:
    if not target.exists():
        new.rename(target)
    elif not _exchange(new, target):
        # No atomic exchange on this system: the old folder steps aside for an instant.
        old = target.with_name(f".{target.name}.{os.getpid()}.old.tmp")
        target.rename(old)
        new.rename(target)
        shutil.rmtree(old)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two paths in one step (Linux ``renameat2``); False where the system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    arguments = (_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    return bool(renameat2(*arguments) == 0)


def _concerns(error: OSError, target: Path) -> bool:
    """Whether an error is about the target, what lies aside for it, or a folder above it."""
    if error.filename is None:
        return True
    path, target = Path(os.fsdecode(error.filename)).absolute(), target.absolute()
    if path in target.parents:
        return True
    if not path.is_relative_to(target.parent):
        return False
    beside = path.relative_to(target.parent).parts[0]
    return re.fullmatch(_OWN.format(re.escape(target.name)), beside) is not None


def _free_bytes(target: Path) -> int:
    folder = target
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
