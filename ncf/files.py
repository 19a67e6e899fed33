"""Write files and folders that appear whole or not at all, and compute digests of files.

The toolkit writes everything under a temporary name first, flushes it to the disk, and then
renames it into place. So a reader (or a crash) sees the old version or the new one, never a mix.
"""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ncf.disks import flush, flush_tree, fsync, swap_folder
from ncf.errors import FullDiskError, StorageError
from ncf.volumes import UNMOVABLE, beside, followed, is_mount, keeps_within, refill

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Names of a target and of the temporary files of its writers.
_OWN = r"{0}|\.{0}\.(\d+(\.\w+)?\.tmp|lock(\.pid)?|work|study)"
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, *UNMOVABLE}


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_bytes(data: bytes) -> str:
    """Compute the SHA-256 of bytes in memory, as 64 hex digits.

    Examples
    --------
    >>> sha256_bytes(b"")[:16]
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(data).hexdigest()


@contextmanager
def storage_errors(target: Path) -> Iterator[None]:
    """Turn errors about a full or unwritable disk into one line that names the place.

    Errors about other files, such as an unreadable input, pass unchanged.

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
    """Whether an error says that the disk is full, or that a quota or size limit is reached."""
    # pyarrow raises errors without errno, so the text counts too.
    return error.errno in _FULL or "No space left" in str(error)


def check_target(target: Path) -> None:
    """Refuse a path that names no file or folder, such as ``.``, or a file that is a mount point.

    Raises
    ------
    StorageError
        The path has no name, or nothing can be renamed to it.
    """
    if not target.name or target.name == "..":
        raise StorageError("not the name of a file or folder to write", where=target)
    if target.is_file() and is_mount(target):
        raise StorageError(
            "a file that is mounted by itself cannot be replaced",
            where=target,
            remedy="mount its folder, or choose another output file",
        )


@contextmanager
def atomic_file(target: Path, *, clean: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file; on success flush and rename it to ``target``, on failure remove it.

    The caller must hold :func:`ncf.locks.writer_lock`. Leftovers of dead writers are removed here;
    ``clean=False`` skips that, for a caller who has done so for a folder of many files.
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
                flush(file.fileno())
            aside.replace(target)
            fsync(target.parent)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def atomic_folder(
    target: Path,
    before_swap: Callable[[], object] | None = None,
    *,
    manifest: str = "",
    members: str = "",
) -> Iterator[Path]:
    """Make a temporary folder; on success swap it with ``target`` in one step, else remove it.

    The caller must hold :func:`ncf.locks.writer_lock`. Leftovers of dead writers are removed here.
    ``before_swap`` is called when everything is on the disk, just before the swap. A folder that
    cannot be renamed gets its files one by one (:func:`ncf.volumes.refill`).
    """
    target = followed(target)
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep_beside(target)
        aside = beside(target, f"{os.getpid()}.tmp")
        aside.mkdir()
        try:
            yield aside
            flush_tree(aside)
            if before_swap:
                before_swap()
            try:
                swap_folder(aside, target)
            except OSError as error:
                if error.errno not in UNMOVABLE or not manifest:
                    raise
                refill(target, aside, manifest, members)
                flush_tree(target)
            fsync(target.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """Make a folder beside ``target``, and remove it at the end; the caller holds the lock."""
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
    """Remove a folder that belongs to ``target``, so that a crash leaves no half of it in place.

    :func:`sweep` removes what a crash leaves; the caller holds the target's lock.
    """
    aside = beside(target, f"{os.getpid()}.tmp")
    if folder.exists():
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def sweep_beside(target: Path) -> None:
    """Remove what dead writers left of a folder; the caller holds its lock."""
    target = followed(target)
    if keeps_within(target):
        sweep(target, "ncf")
    else:
        sweep(target.parent, re.escape(target.name))


def sweep(folder: Path, names: str) -> None:
    """Remove leftovers of dead writers beside their targets; the caller holds their lock.

    Parameters
    ----------
    folder : Path
        Folder of the targets.
    names : str
        Regular expression of the targets' names.
    """
    leftover = re.compile(rf"\.({names})\.\d+(\.old|\.scratch|\.copy)?\.tmp")
    for stale in sorted(folder.iterdir()) if folder.exists() else ():
        found = leftover.fullmatch(stale.name)
        if found and found[2] == ".old" and not (folder / found[1]).exists():
            stale.rename(folder / found[1])  # killed while the old version was moved aside
        elif found and stale.is_dir() and not stale.is_symlink():
            shutil.rmtree(stale, ignore_errors=True)
        elif found:
            stale.unlink()


def _concerns(error: OSError, target: Path) -> bool:
    """Whether an error is about the target, its temporary files, or a folder above it."""
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
