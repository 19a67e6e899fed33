"""Publish an export: make bundle and archive in temporary places, then swap both in."""

import os
import re
from pathlib import Path
from typing import Any

from export.archive import write_archive
from export.bundle import write_bundle
from export.source import Source
from ncf.artifacts import sealed_folder
from ncf.errors import ParityError, StorageError, UsageError
from ncf.files import scratch_folder
from ncf.locks import writer_lock
from ncf.scoring.manifest import BUNDLE

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}")


def publish(source: Source, store: Path, name: str, version: str = "1.0") -> dict[str, Any]:
    """Write ``store/NAME`` and ``store/NAME.mar``.

    Both are complete and on the disk before either is renamed, and the two renames follow each
    other. A failure before that leaves the old ones unchanged. A crash between the renames leaves
    the new archive beside the old bundle, each whole; ``ncf verify`` reports it and the next
    export fixes it.

    Parameters
    ----------
    source : Source
        Model and data.
    store : Path
        Folder of exported models.
    name : str
        Letters, digits, ``-`` and ``_``.
    version : str
        Version of the model in TorchServe: digits and dots.

    Returns
    -------
    dict
        Largest difference from PyTorch by graph, the ``screen`` or why there is none, and the
        bundle's ``digest``.

    Raises
    ------
    ParityError
        A graph and PyTorch disagree; nothing is published.
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
            report = _write_proven(source, folder, name)
            with ready.open("wb") as file:
                write_archive(folder, name, version, scratch, file)
                file.flush()
                os.fsync(file.fileno())
    return report


def _write_proven(source: Source, folder: Path, name: str) -> dict[str, Any]:
    try:
        return write_bundle(source, folder, name)
    except ParityError as error:
        remedy = "nothing was published; please report this"
        raise ParityError(str(error), where=source.checkpoint.path, remedy=remedy) from error


def check_name(name: str) -> None:
    """Refuse a name that could point outside the store or that TorchServe would refuse.

    Raises
    ------
    UsageError
        The name has a character that is not a letter, a digit, ``-`` or ``_``.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"`name` {name!r} is not letters, digits, - and _, at most 100")
