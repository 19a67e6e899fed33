"""Publish an export: make bundle and archive in temporary places, then swap both in."""

from functools import partial
from pathlib import Path
from typing import Any

from export.bundle import write_bundle
from export.source import Source
from export.swap import publish_folder
from ncf.errors import ParityError


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
    return publish_folder(partial(_write_proven, source, name=name), store, name, version)


def _write_proven(source: Source, folder: Path, name: str) -> dict[str, Any]:
    try:
        return write_bundle(source, folder, name)
    except ParityError as error:
        remedy = "nothing was published; please report this"
        raise ParityError(str(error), where=source.checkpoint.path, remedy=remedy) from error
