"""Find a published run by its name, path or URI, and read its parts one by one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from batch.manifest import RunManifest
from batch.runs import LATEST_FILE, SUCCESS_FILE, Runs, held_runs, open_runs, runs_above
from batch.stores import storage_access
from batch.tables import Style, read_table
from ncf.errors import ArtifactError
from ncf.files import sha256_bytes
from ncf.locks import reader_lock

_REMEDY = "give a run's name with `out`, its folder, or its URI"


class Readable(Protocol):
    """What is open for reading."""

    def read(self) -> bytes:
        """Read all of it."""


@dataclass(frozen=True)
class Source:
    """The lists of a run, published or not.

    Parameters
    ----------
    k : int
        Largest length of a list.
    style : Style
        Format and layout of the parts.
    rows : mapping
        Rows by part.
    digests : mapping
        SHA-256 by part.
    opened : callable
        Opens a part by name, to be read.
    where : str
        What messages call it.
    """

    k: int
    style: Style
    rows: Mapping[str, int]
    digests: Mapping[str, str]
    opened: Callable[[str], AbstractContextManager[Readable]]
    where: str

    def tables(self) -> Iterator[pa.Table]:
        """Read the parts in their order, each after its SHA-256 was checked.

        Raises
        ------
        ArtifactError
            A part is damaged or missing; the message names it.
        """
        for part in sorted(self.rows, key=lambda name: (len(name), name)):
            try:
                with storage_access(self.where), self.opened(part) as stream:
                    content = checked(stream, part, self.digests[part])
                yield read_table(BytesIO(content), self.style)
            except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
                raise ArtifactError(
                    f"the run is damaged ({error})", where=self.where, remedy="run the batch again"
                ) from error


@dataclass(frozen=True)
class Published:
    """A published run.

    Parameters
    ----------
    runs : Runs
        The runs of its place.
    name : str
        Its name.
    manifest : RunManifest
        Its manifest.
    """

    runs: Runs
    name: str
    manifest: RunManifest

    @property
    def place(self) -> str:
        """Where it lies."""
        return f"{self.runs.root}/{self.name}"

    @property
    def address(self) -> str:
        """Absolute path, or URI without credentials."""
        return self.runs.address(self.name) if self.runs.folder is None else self.place

    @property
    def source(self) -> Source:
        """What reads its lists, part by part."""
        found = self.manifest
        return Source(
            found.parameters.k,
            found.parameters.style,
            found.rows_by_part,
            found.files,
            lambda part: self.runs.system.open_input_stream(f"{self.place}/{part}"),
            self.place,
        )


@contextmanager
def held(run: Published) -> Iterator[None]:
    """Hold a run, so that no ``--keep`` removes it while it is read.

    Raises
    ------
    ArtifactError
        It is gone.
    """
    if run.runs.folder is None:
        yield
        return
    with reader_lock(run.runs.folder / run.name / SUCCESS_FILE) as there:
        if not there:
            raise _missing(run.runs, run.name)
        yield


def find_run(given: str | Path, out: str | Path) -> Published:
    """Find a run.

    Parameters
    ----------
    given : str or Path
        A run's name in ``out``, its path or URI, or those of a folder of runs: its newest.
    out : str or Path
        Folder of all runs, or a URI.

    Raises
    ------
    ArtifactError
        There is no such run, or its manifest is damaged.
    """
    text = str(given)
    if "/" not in text and "\\" not in text and not Path(text).is_dir():
        runs = open_runs(out)
        aside = held_runs(runs)
        return published(aside if text in aside.names() else runs, text)
    runs = open_runs(text)
    with storage_access(runs.root), suppress(FileNotFoundError):
        if runs.system.get_file_info(f"{runs.root}/{LATEST_FILE}").is_file:
            return published(runs, runs.latest())
    return published(runs_above(runs), runs.root.rpartition("/")[2])


def newest(runs: Runs) -> Published | None:
    """Find the run that LATEST names; None if nothing was published.

    Raises
    ------
    ArtifactError
        It is gone or damaged.
    """
    name = runs.latest_or_none()
    return None if name is None else published(runs, name)


def checked(stream: Readable, name: str, digest: str) -> bytes:
    """Read a part, whose bytes must have a digest.

    Raises
    ------
    ValueError
        They have not.
    """
    content: bytes = stream.read()
    if sha256_bytes(content) != digest:
        raise ValueError(f"{name}: bytes differ from the recorded SHA-256")
    return content


def published(runs: Runs, name: str) -> Published:
    """Open a run of a place.

    Raises
    ------
    ArtifactError
        There is no such run, or its manifest is damaged.
    """
    with storage_access(runs.root):
        if not runs.system.get_file_info(f"{runs.root}/{name}/{SUCCESS_FILE}").is_file:
            raise _missing(runs, name)
    return Published(runs, name, runs.manifest(name))


def _missing(runs: Runs, name: str) -> ArtifactError:
    return ArtifactError(f"run {name} is not here", where=runs.folder or runs.root, remedy=_REMEDY)
