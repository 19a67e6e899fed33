"""Find the copies of bundles on this machine, and remove those that may go."""

import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from ncf.errors import NcfError, StorageError
from ncf.files import storage_errors, sweep_beside
from ncf.locks import writer_lock

_UNUSED = 7 * 86400.0  # seconds after which a copy is removed, when another is made
# A copy by its digest, or one that is being made.
_COPY = re.compile(r"([0-9a-f]{64})|\.([0-9a-f]{64})\.\d+(?:\.\w+)?\.tmp")


def cache_folder() -> Path:
    """Find the folder of copies: in ``$NCF_CACHE``, ``$XDG_CACHE_HOME/ncf`` or ``~/.cache/ncf``.

    Raises
    ------
    StorageError
        There is no home folder, and no variable names another.
    """
    if given := os.environ.get("NCF_CACHE"):
        return Path(given).absolute() / "bundles"
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given).absolute() / "ncf" / "bundles"
    try:
        return Path.home() / ".cache" / "ncf" / "bundles"
    except RuntimeError as error:
        raise StorageError(
            "there is no home folder for copies of bundles", remedy="set NCF_CACHE to a folder"
        ) from error


def copies() -> list[Path]:
    """Name the copies of bundles of this user on this machine; some may have ended early.

    Such a copy's folder is not there, but one beside it may be, which :func:`remove_copy` removes.
    """
    try:
        cache = cache_folder()
    except StorageError:  # without a home nothing was ever copied
        return []
    with storage_errors(cache):
        there = sorted(cache.iterdir()) if cache.is_dir() else []
    names = [_COPY.fullmatch(each.name) for each in there]
    return sorted({cache / (name[1] or name[2]) for name in names if name})


def remove_copy(copy: Path) -> None:
    """Remove a copy, and what is left of others of the same bundle that ended early.

    The next process that opens its bundle copies it again; one that has opened it may fail.

    Raises
    ------
    LockedError
        Another process is making it.
    """
    with writer_lock(copy), storage_errors(copy):
        sweep_beside(copy)
        if copy.is_dir():  # else it had ended early, or another has just removed it
            shutil.rmtree(copy)


def remove_unused() -> None:
    """Remove copies that nobody has opened for long, and what was left of copies that ended early.

    Others may remove the same ones, or own them: what cannot be removed is left.
    """
    cache = cache_folder()
    for each in sorted(cache.iterdir()):
        with suppress(NcfError, OSError):
            found = _COPY.fullmatch(each.name)
            if found is None or time.time() - each.stat().st_mtime < _UNUSED:
                continue
            copy = cache / (found[1] or found[2])
            with writer_lock(copy):
                if each != copy:
                    sweep_beside(copy)
                elif time.time() - each.stat().st_mtime >= _UNUSED:
                    shutil.rmtree(each)
