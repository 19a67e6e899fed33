"""Publish runs: a run appears whole, then LATEST names it, then old runs are removed.

In a folder, the run's parts are renamed into place. An object store cannot rename, but each
object appears whole: the parts are copied first, then the manifest, then ``_SUCCESS``.
"""

import logging
import os
import shutil
import stat
import tempfile
import uuid
from pathlib import Path
from typing import Protocol

from pyarrow import fs

from batch.manifest import RUN
from batch.runs import LATEST_FILE, RUN_NAME, SUCCESS_FILE, Runs, storage_access
from ncf.disks import flush_tree, fsync
from ncf.errors import ArtifactError, StorageError, UsageError
from ncf.files import atomic_file, sha256_bytes, storage_errors, sweep
from ncf.locks import removal_lock
from ncf.volumes import UNMOVABLE

logger = logging.getLogger(__name__)

_WORK_FOLDER = ".ncf-batch"
_PROBE = ".ncf-probe"


class Destination(Protocol):
    """A place where runs are published."""

    work: Path
    """Folder of the unfinished run."""

    lock: Path
    """Path that the only writer locks."""

    def prepare(self) -> None:
        """Remove leftovers of dead writers, and check that the place can be written."""

    def publish(self, parts: Path, name: str) -> None:
        """Publish sealed parts as a run."""

    def point(self, name: str) -> None:
        """Make LATEST name a run, in one step."""

    def remove(self, name: str) -> None:
        """Remove a run unless somebody reads it."""


def open_destination(runs: Runs, work: Path | None, place: str) -> Destination:
    """Open a place to publish runs.

    Parameters
    ----------
    runs : Runs
        The place.
    work : Path or None
        Folder for the unfinished run. Only an object store needs one; the default is under
        ``$XDG_CACHE_HOME`` or, if that is not set, in the folder of temporary files.
    place : str
        The place as it was given; it keeps the work for different stores apart.

    Raises
    ------
    UsageError
        ``work`` is given and the place is a folder.
    """
    if runs.folder is not None:
        if work is not None:
            raise UsageError("`work` applies only to object stores", remedy="leave it out")
        return Folder(runs.folder)
    return Bucket(runs, work or _cache(place))


class Folder:
    """Runs in a local folder, or on a shared disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.work = path / _WORK_FOLDER
        self.lock = path / "runs"

    def prepare(self) -> None:
        """Remove leftovers of dead writers."""
        sweep(self._path, f"{RUN_NAME}|{LATEST_FILE}")

    def publish(self, parts: Path, name: str) -> None:
        """Rename the parts into place."""
        target = self._path / name
        with storage_errors(target):
            flush_tree(parts)
            parts.rename(target)
            fsync(self._path)

    def point(self, name: str) -> None:
        """Rename LATEST into place."""
        with atomic_file(self._path / LATEST_FILE) as latest:
            latest.write(f"{name}\n".encode())

    def remove(self, name: str) -> None:
        """Rename a run aside, then remove it."""
        run = self._path / name
        if not run.exists():
            return
        with removal_lock(run / SUCCESS_FILE) as free:
            if not free:
                logger.info("%s is being read: kept", run)
                return
            aside = run.with_name(f".{name}.{os.getpid()}.tmp")
            try:
                run.rename(aside)
            except OSError as error:
                if error.errno not in UNMOVABLE:
                    raise
                # In a lower layer of an image: without _SUCCESS, half of a run is none.
                (run / SUCCESS_FILE).unlink(missing_ok=True)
                aside = run
        shutil.rmtree(aside)


class Bucket:
    """Runs under a prefix of an object store."""

    def __init__(self, runs: Runs, work: Path) -> None:
        self._system, self._root = runs.system, runs.root
        self.work = work / _WORK_FOLDER
        self.lock = work / "runs"

    def prepare(self) -> None:
        """Write an object and remove it, so that a failure comes before the scoring."""
        probe = f"{self._root}/{_PROBE}-{uuid.uuid4().hex}"
        with storage_access(self._root):
            self._write(probe, b"")
            self._system.delete_file(probe)

    def publish(self, parts: Path, name: str) -> None:
        """Copy the parts, then the manifest, then ``_SUCCESS``."""
        last = [RUN.manifest, SUCCESS_FILE]
        first = sorted(path.name for path in parts.iterdir() if path.name not in last)
        with storage_access(f"{self._root}/{name}"):
            self._make_folder(f"{self._root}/{name}")
            for file in [*first, *last]:
                self._copy(parts / file, f"{self._root}/{name}/{file}")

    def point(self, name: str) -> None:
        """Replace LATEST, which is one step for an object."""
        with storage_access(self._root):
            self._write(f"{self._root}/{LATEST_FILE}", f"{name}\n".encode())

    def remove(self, name: str) -> None:
        """Delete ``_SUCCESS`` first, so that a half removed run is not read as a run."""
        run = f"{self._root}/{name}"
        with storage_access(run):
            if self._system.get_file_info(run).type is not fs.FileType.Directory:
                return
            if self._system.get_file_info(f"{run}/{SUCCESS_FILE}").is_file:
                self._system.delete_file(f"{run}/{SUCCESS_FILE}")
            self._system.delete_dir(run)

    def _copy(self, source: Path, target: str) -> None:
        fs.copy_files(str(source), target, fs.LocalFileSystem(), self._system)
        if self._system.get_file_info(target).size != source.stat().st_size:
            raise ArtifactError("the copy has another size", where=target, remedy="run it again")

    def _write(self, path: str, content: bytes) -> None:
        self._make_folder(path.rsplit("/", 1)[0])
        aside = path if self._has_objects() else f"{path}.tmp"
        with self._system.open_output_stream(aside) as stream:
            stream.write(content)
        if aside != path:
            self._system.move(aside, path)

    def _make_folder(self, path: str) -> None:
        """Make a folder if the store has folders; S3 and GCS would get an empty object."""
        if not self._has_objects():
            self._system.create_dir(path, recursive=True)

    def _has_objects(self) -> bool:
        """Whether a write appears whole and folders are only prefixes."""
        return self._system.type_name in {"s3", "gcs", "abfs"}


def _cache(place: str) -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    base = Path(given) / "ncf" if given else _own_temporary()
    return base / "batch" / sha256_bytes(place.encode())[:12]


def _own_temporary() -> Path:
    """Folder of this user's among the temporary ones: others could put parts of theirs there."""
    user = os.getuid() if hasattr(os, "getuid") else None  # Windows has such folders by user
    folder = Path(tempfile.gettempdir(), "ncf" if user is None else f"ncf-{user}")
    with storage_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or (user is not None and found.st_uid != user):
        raise StorageError("belongs to somebody else", where=folder, remedy="give `work`")
    return folder
