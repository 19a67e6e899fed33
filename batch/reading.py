"""Find a published run by its name, path or URI, and read its parts one by one."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import pyarrow as pa

from batch.manifest import RunManifest
from batch.runs import LATEST_FILE, SUCCESS_FILE, Runs, open_runs
from batch.stores import storage_access
from batch.tables import read_table
from ncf.errors import ArtifactError
from ncf.files import sha256_bytes
from ncf.locks import reader_lock

_REMEDY = "give a run's name with `out`, its folder, or its URI"


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

    def tables(self) -> Iterator[pa.Table]:
        """Read the parts in their order, each after its SHA-256 was checked.

        Raises
        ------
        ArtifactError
            A part is damaged or missing; the message names it.
        """
        for part in sorted(self.manifest.rows_by_part, key=lambda name: (len(name), name)):
            path = f"{self.name}/{part}"
            try:
                with storage_access(self.runs.root):
                    content = checked(self.runs, path, self.manifest.files[part])
                yield read_table(BytesIO(content), self.manifest.parameters.style)
            except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
                raise ArtifactError(
                    f"run {self.name} is damaged ({error})",
                    where=self.runs.root,
                    remedy="run the batch again",
                ) from error


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
        There is no such run, or its manifest cannot be read.
    """
    text = str(given)
    if "/" not in text and "\\" not in text and not Path(text).is_dir():
        return _published(open_runs(out), text)
    runs = open_runs(text)
    with storage_access(runs.root), suppress(FileNotFoundError):
        if runs.system.get_file_info(f"{runs.root}/{LATEST_FILE}").is_file:
            return _published(runs, runs.latest())
    above, _, name = runs.root.rpartition("/")
    folder = None if runs.folder is None else runs.folder.absolute().parent
    return _published(replace(runs, root=above, folder=folder), name)


def newest_two(out: str | Path) -> tuple[Published, Published]:
    """Find the run published last, and the one before it.

    Raises
    ------
    ArtifactError
        There are not two.
    """
    runs = open_runs(out)
    names = sorted(runs.names(), key=lambda name: (runs.sequence(name), name))
    if len(names) < 2:
        raise ArtifactError(
            f"has {len(names)} of the two runs to compare",
            where=out,
            remedy="publish another with 'ncf batch', or give two runs",
        )
    return _published(runs, names[-2]), _published(runs, names[-1])


def checked(runs: Runs, path: str, digest: str) -> bytes:
    """Read a part, whose bytes must have a digest.

    Raises
    ------
    ValueError
        They have not.
    """
    with runs.system.open_input_stream(f"{runs.root}/{path}") as stream:
        content: bytes = stream.read()
    if sha256_bytes(content) != digest:
        raise ValueError(f"{path}: bytes differ from the recorded SHA-256")
    return content


def _published(runs: Runs, name: str) -> Published:
    with storage_access(runs.root):
        if not runs.system.get_file_info(f"{runs.root}/{name}/{SUCCESS_FILE}").is_file:
            raise _missing(runs, name)
    return Published(runs, name, runs.manifest(name))


def _missing(runs: Runs, name: str) -> ArtifactError:
    return ArtifactError(f"run {name} is not here", where=runs.folder or runs.root, remedy=_REMEDY)
