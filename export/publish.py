"""Publish an export: bundle and archive are made aside, and then both swapped in."""

from pathlib import Path
from typing import Any

from export.archive import write_archive
from export.bundle import Source, write_bundle
from ncf.artifacts import BUNDLE, sealed_folder
from ncf.errors import UsageError
from ncf.files import atomic_file, scratch_folder
from ncf.locks import writer_lock


def publish(source: Source, store: Path, name: str, version: str = "1.0") -> dict[str, Any]:
    """Write ``store/NAME`` and ``store/NAME.mar``.

    Both are complete and on the disk before either is renamed; the two renames then follow one
    another. Whatever fails before leaves the old ones as they were.

    Parameters
    ----------
    source : Source
        Model and data.
    store : Path
        Folder of exported models.
    name : str
        Letters, digits, ``-`` and ``_``.
    version : str
        Of the model in TorchServe, digits and dots.

    Returns
    -------
    dict
        Largest difference from PyTorch by graph, and the bundle's ``digest``.

    Raises
    ------
    ArtifactError
        The checkpoint was trained on other data.
    ParityError
        A graph and PyTorch disagree; nothing is published.
    UsageError
        The name or the version is malformed.
    """
    check_name(name)
    if not version.replace(".", "").isdigit():
        raise UsageError(f"version {version!r} is not digits and dots")
    bundle, archive = store / name, store / f"{name}.mar"
    with (
        writer_lock(bundle),
        atomic_file(archive) as file,
        sealed_folder(bundle, BUNDLE) as folder,
        scratch_folder(archive) as scratch,
    ):
        report = write_bundle(source, folder, name)
        write_archive(folder, name, version, scratch, file)
    return report


def check_name(name: str) -> None:
    """Refuse a name that could leave the store or that TorchServe would not take.

    Raises
    ------
    UsageError
        It holds anything but letters, digits, ``-`` and ``_``.
    """
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise UsageError(f"--name {name!r} is not letters, digits, - and _")
