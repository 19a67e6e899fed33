"""Keep the copies of bundles on this machine: who is there, and who may go."""

import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from ncf.errors import NcfError, StorageError
from ncf.files import sweep_beside
from ncf.locks import writer_lock

_UNUSED = 7 * 86400.0  # seconds after which a copy is removed, when another is made
# A copy by its digest, or one that is being made.
_COPY = re.compile(r"([0-9a-f]{64})|\.([0-9a-f]{64})\.\d+\.tmp")


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
    """Find the whole copies of bundles that this user has on this machine."""
    try:
        found = sorted(cache_folder().iterdir())
    except (OSError, StorageError):  # nothing was ever copied, or it is of somebody else
        return []
    return [each for each in found if (name := _COPY.fullmatch(each.name)) and name[1]]


def remove_copy(copy: Path) -> None:
    """Remove a copy; who needs its bundle copies it again.

    Raises
    ------
    LockedError
        Another process is making it.
    """
    with writer_lock(copy):
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
