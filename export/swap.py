"""Swap a bundle and its archive in together; needs no PyTorch."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export.archive import write_archive
from ncf.artifacts import sealed_folder
from ncf.errors import StorageError, UsageError
from ncf.files import scratch_folder
from ncf.locks import writer_lock
from ncf.scoring.manifest import BUNDLE

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}")


def publish_folder(
    write: Callable[[Path], dict[str, Any]], store: Path, name: str, version: str
) -> dict[str, Any]:
    """Write ``store/NAME`` and ``store/NAME.mar``, as :func:`export.publish.publish` says.

    Parameters
    ----------
    write : callable
        Fills an empty folder with a sealed bundle, and returns a report.
    store : Path
        Folder of exported models.
    name : str
        Letters, digits, ``-`` and ``_``.
    version : str
        Version of the model in TorchServe: digits and dots.

    Raises
    ------
    UsageError
        The name or the version is malformed.
    """
    check_name(name)
    if not _VERSION.fullmatch(version):
        raise UsageError(f"version {version!r} is not digits and dots")
    bundle, archive = store / name, store / f"{name}.mar"
    if archive.is_dir():
        raise StorageError(
            "a folder has the name of the archive", where=archive, remedy="remove it"
        )
    with writer_lock(bundle), scratch_folder(archive) as scratch:
        ready = scratch / f"ready-{archive.name}"
        # The archive is renamed just before the bundle, with nothing slow in between.
        with sealed_folder(bundle, BUNDLE, lambda: ready.replace(archive)) as folder:
            report = write(folder)
            with ready.open("wb") as file:
                write_archive(folder, name, version, scratch, file)
                file.flush()
                os.fsync(file.fileno())
    return report


def check_name(name: str) -> None:
    """Refuse a name that could point outside the store or that TorchServe would refuse.

    Raises
    ------
    UsageError
        The name has a character that is not a letter, a digit, ``-`` or ``_``.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"`name` {name!r} is not letters, digits, - and _, at most 100")
