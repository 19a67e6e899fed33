"""Runs that lie somewhere, in a folder or in an object store: what every reader needs."""

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pyarrow import fs

from batch.addresses import above, shown, within
from batch.manifest import RUN, RunManifest, intact
from batch.stores import open_store, storage_access
from ncf.errors import ArtifactError, UsageError
from ncf.files import check_target
from ncf.locks import reader_lock
from ncf.records import read_record

LATEST_FILE = "LATEST"
HISTORY_FILE = "_history"
HELD = "_held"
"""Folder, among the runs, of those that failed a gate."""
SUCCESS_FILE = "_SUCCESS"
GATES_FILE = "_gates.json"
"""The verdict of the gates, in a run."""
REPORT_FILE = "_report.html"
"""What people look at, in a run."""
USERS_FILE = "_users.parq"
"""Who is in a run, and digests of what each had seen: Parquet (:mod:`batch.user_digests`).

Its name does not end as those of parts do: DuckDB reads all such files of a folder.
"""
RUN_NAME = r"\d{8}T\d{6}Z-[0-9a-f]{8}(?:-\d+)?"
DAY_LENGTH = 8
"""Length of the day that a name begins with."""
NAME_LENGTH = 25  # without the number that tells apart runs of one second
TRIES = 5


@dataclass(frozen=True)
class _Numbered:
    """The one field that is asked of every run, of whatever version."""

    sequence: int


@dataclass(frozen=True)
class Runs:
    """All runs of one place.

    Parameters
    ----------
    system : pyarrow.fs.FileSystem
        Where they lie.
    root : str
        Their folder, or prefix.
    folder : Path or None
        The same as a local path; None for an object store.
    uri : str
        URI of an object store, with its options, as it was given.
    """

    system: fs.FileSystem
    root: str
    folder: Path | None
    uri: str = ""

    def latest(self) -> str:
        """Name of the newest complete run.

        Raises
        ------
        ArtifactError
            Nothing was published here, or what should name a run does not.
        """
        name = self._read(LATEST_FILE).decode(errors="replace").strip()
        if not re.fullmatch(RUN_NAME, name):
            raise ArtifactError(
                f"does not name a run: {name[:80]!r}",
                where=f"{self.root}/{LATEST_FILE}",
                remedy="write the name of a run into it, or run the batch again",
            )
        return name

    def latest_or_none(self) -> str | None:
        """Name of the newest complete run; None if there is none."""
        try:
            return self.latest()
        except ArtifactError:
            return None

    def manifest(self, name: str) -> RunManifest:
        """Read a run's manifest.

        Raises
        ------
        ArtifactError
            It cannot be read, or differs from its own digest.
        """
        try:
            return read_record(RunManifest, intact(self._content(name)))
        except (ArtifactError, ValueError, RecursionError) as error:
            raise ArtifactError(
                f"run {name} is damaged ({error})", where=self.root, remedy="run the batch again"
            ) from error

    def names(self) -> list[str]:
        """Names of all runs; what has no ``_SUCCESS`` is none."""
        taken = self.taken()
        with storage_access(self.root):
            paths = [f"{self.root}/{name}/{SUCCESS_FILE}" for name in taken]
            ends = self.system.get_file_info(paths) if paths else []
        return [name for name, end in zip(taken, ends, strict=True) if end.is_file]

    def taken(self) -> list[str]:
        """Names that cannot be given to a run any more: of runs, whole or not."""
        with storage_access(self.root):
            selector = fs.FileSelector(self.root, allow_not_found=True)
            found = [each.base_name for each in self.system.get_file_info(selector)]
        return sorted(name for name in found if re.fullmatch(RUN_NAME, name))

    def sequence(self, name: str) -> int:
        """How many runs had been published with this one: a clock may be set back, this not."""
        try:
            return read_record(_Numbered, json.loads(self._content(name))).sequence
        except (ArtifactError, ValueError, RecursionError):
            return 0

    @contextmanager
    def newest(self) -> Iterator[str]:
        """Hold the newest run, so that nobody removes it meanwhile.

        Raises
        ------
        ArtifactError
            Nothing was published here.
        """
        for _ in range(TRIES):
            name = self.latest()
            if self.folder is None:
                yield name
                return
            with reader_lock(self.folder / name / SUCCESS_FILE) as there:
                if there:
                    yield name
                    return
        raise ArtifactError(f"run {name} is gone", where=self.root, remedy="run the batch again")

    def address(self, name: str) -> str:
        """Give the path of a run, or its URI, without credentials."""
        return shown(self.uri, name) if self.folder is None else f"{self.folder}/{name}"

    def _content(self, name: str) -> bytes:
        """Content of a run's manifest, which earlier versions called otherwise."""
        with suppress(ArtifactError):
            return self._read(f"{name}/{RUN.manifest}")
        return self._read(f"{name}/{RUN.former_manifest}")

    def _read(self, path: str) -> bytes:
        try:
            with (
                storage_access(self.root),
                self.system.open_input_stream(f"{self.root}/{path}") as stream,
            ):
                content: bytes = stream.read()
        except FileNotFoundError as error:
            raise ArtifactError(
                "no run was published here", where=self.root, remedy=RUN.remedy
            ) from error
        return content


def open_runs(place: str | Path) -> Runs:
    """Find a place: a folder, or a URI such as ``s3://bucket/topk``.

    Raises
    ------
    UsageError
        It is no name, or the URI is of no known kind.
    """
    if "://" not in str(place):
        return _folder(str(place))
    system, root = open_store(str(place))
    if isinstance(system, fs.LocalFileSystem):
        return _folder(root)
    return Runs(system, root.rstrip("/"), None, str(place))


def held_runs(runs: Runs) -> Runs:
    """Find the runs of a place that were set aside."""
    folder = None if runs.folder is None else runs.folder / HELD
    return replace(runs, root=f"{runs.root}/{HELD}", folder=folder, uri=within(runs.uri, HELD))


def runs_above(runs: Runs) -> Runs:
    """Find the place that a folder lies in: of a run, or of runs that were set aside."""
    folder = None if runs.folder is None else runs.folder.absolute().parent
    root = runs.root.rpartition("/")[0]
    return replace(runs, root=root, folder=folder, uri=above(runs.uri))


@contextmanager
def local_copy(run: str) -> Iterator[Path]:
    """Give a run as a local folder; one in an object store is copied aside first."""
    runs = open_runs(run)
    if runs.folder is not None:
        yield runs.folder
        return
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch, runs.root.rsplit("/", 1)[-1])
        with storage_access(runs.root):
            selector = fs.FileSelector(runs.root, recursive=True, allow_not_found=True)
            if not any(each.is_file for each in runs.system.get_file_info(selector)):
                raise ArtifactError("no run is here", where=run, remedy=RUN.remedy)
            target.mkdir()
            fs.copy_files(runs.root, str(target), runs.system, fs.LocalFileSystem())
        yield target


def _folder(place: str) -> Runs:
    if not place.strip() or place.startswith("~") or re.match(r"[a-z0-9+]+:/", place):
        raise UsageError(
            f"{place!r} is not the name of a folder", remedy="give a folder, or a URI with ://"
        )
    folder = Path(place)
    check_target(folder)
    return Runs(fs.LocalFileSystem(), str(folder.absolute()), folder)
