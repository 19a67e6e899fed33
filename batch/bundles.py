"""Open the bundle of a batch: a folder, or a URI, which is copied to this machine first.

A copy lies in a cache under the digest of its bundle: each process of a machine opens the same
files, and a bundle that changes behind its URI is another copy. So nodes of a cluster need no disk
in common, and a bundle goes through no engine.
"""

import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from pyarrow import fs

from batch.addresses import within
from batch.copies import cache_folder, remove_unused
from batch.stores import open_store, require_answer, storage_access
from ncf.artifacts import open_sealed, read_manifest
from ncf.errors import ArtifactError, UsageError, without_credentials
from ncf.files import atomic_folder, sha256, storage_errors
from ncf.locks import writer_lock
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.manifest import BUNDLE

logger = logging.getLogger(__name__)

_WAIT = 3600.0  # seconds, while another process of this machine copies the same bundle


def is_uri(bundle: str | Path) -> bool:
    """Whether a bundle is not a folder of this machine."""
    return "://" in str(bundle)


def whereabouts(bundle: str | Path) -> str:
    """Name a bundle so that a plan can hold it: an absolute path, or its URI."""
    return str(bundle) if is_uri(bundle) else str(Path(bundle).absolute())


def require_bundle_place(bundle: str | Path) -> None:
    """Refuse a URI that other machines could not use, or should not see.

    Raises
    ------
    UsageError
        It is of this process or of its folder alone, or has credentials, which the plan would show.
    """
    text = str(bundle)
    if text.startswith("memory:"):
        raise UsageError(
            f"`bundle` {text} is in the memory of one process", remedy="give a folder or a URI"
        )
    if text.startswith("file://") and not text.startswith("file:///"):
        raise UsageError(
            f"`bundle` {text} is no absolute URI", remedy="give file:///FOLDER, or the folder"
        )
    if without_credentials(text) != text:
        raise UsageError(
            f"`bundle` {text} has credentials, which the plan would show",
            remedy="leave them out, and give them by the environment, such as AWS_ACCESS_KEY_ID",
        )


def opened(bundle: str | Path, digest: str = "") -> Bundle:
    """Open a bundle.

    Parameters
    ----------
    bundle : str or Path
        Its folder, or a URI such as ``s3://bucket/model_store/ncf``.
    digest : str
        Digest that it must have; if a copy of it is here, a URI is not looked at.

    Raises
    ------
    ArtifactError
        It is damaged, or there is none.
    UnreachableError
        The store does not answer.
    """
    if not is_uri(bundle):
        return open_bundle(Path(bundle))
    uri, here = str(bundle), cache_folder() / digest
    if not (digest and here.is_dir()):
        digest = digest_at(uri)
        here = cache_folder() / digest
    if here.is_dir():
        try:
            return _used(here)
        except (ArtifactError, FileNotFoundError) as error:  # or it is being removed
            logger.warning("%s; it is copied once more from %s", error, without_credentials(uri))
    return _copied(uri, here)


def digest_at(uri: str) -> str:
    """Read the digest of the bundle behind a URI.

    Raises
    ------
    ArtifactError
        There is none, or its manifest is damaged or of another version.
    """
    with tempfile.TemporaryDirectory() as scratch:
        return _fetch_manifest(uri, Path(scratch))


def is_same(bundle: str | Path, digest: str) -> bool:
    """Whether a bundle still has a digest, where it was taken from."""
    if not is_uri(bundle):
        return open_sealed(Path(bundle), BUNDLE).digest == digest
    return digest_at(str(bundle)) == digest and opened(bundle, digest).digest == digest


def _copied(uri: str, target: Path) -> Bundle:
    """Copy a bundle into the cache, unless another process has just done so."""
    with storage_errors(target):
        # A bundle has the histories of people: copies are for their owner alone.
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with writer_lock(target, seconds=_WAIT):
        if target.is_dir():
            with suppress(ArtifactError, FileNotFoundError):
                return _used(target)
        remove_unused()
        with atomic_folder(target) as aside:
            found = _fetch_manifest(uri, aside)
            if found != target.name:
                raise ArtifactError(
                    f"is another bundle ({found[:8]}) than the one that is wanted "
                    f"({target.name[:8]})",
                    where=uri,
                    remedy="put the plan's bundle there, or plan again",
                )
            _fetch_files(uri, aside)
        return _used(target)


def _fetch_manifest(uri: str, folder: Path) -> str:
    """Copy the manifest, check it, and give its digest."""
    _each(uri, [BUNDLE.manifest], folder, f"not a {BUNDLE.noun} ({BUNDLE.manifest} is missing)")
    try:
        return read_manifest(folder, BUNDLE).digest
    except ArtifactError as error:
        problem = str(error).removeprefix(f"{folder}").partition("; ")[0].lstrip("/: ")
        remedy = f"copy the whole {BUNDLE.noun} there once more"
        raise ArtifactError(problem, where=uri, remedy=remedy) from error


def _fetch_files(uri: str, folder: Path) -> None:
    """Copy all files that the manifest names, and check their digests."""
    files = read_manifest(folder, BUNDLE).files
    logger.info("copying %s to this machine", without_credentials(uri))
    _each(uri, sorted(files), folder, f"file of the {BUNDLE.noun} is missing")
    for name, digest in files.items():
        if sha256(folder / name) != digest:
            raise ArtifactError(
                "bytes differ from the recorded SHA-256",
                where=within(uri, name),
                remedy="copy the whole bundle there once more",
            )


def _each(uri: str, names: list[str], folder: Path, missing: str) -> None:
    system, root = open_store(uri)
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with storage_access(without_credentials(uri)):
                fs.copy_files(f"{root}/{name}", str(target), system, fs.LocalFileSystem())
        except FileNotFoundError as error:
            require_answer(system, f"{root}/{name}", without_credentials(uri))
            where = uri if name == BUNDLE.manifest else within(uri, name)
            raise ArtifactError(missing, where=where, remedy=BUNDLE.remedy) from error


def _used(folder: Path) -> Bundle:
    """Open a copy, and note that it is used."""
    _note_use(folder)  # first, as a large one takes minutes to check, and may be old
    found = open_bundle(folder)
    if found.digest != folder.name:
        raise ArtifactError("is the copy of another bundle", where=folder, remedy="remove it")
    _note_use(folder)
    return found


def _note_use(folder: Path) -> None:
    with suppress(OSError):
        os.utime(folder)
