"""A place where runs are published: what planners, workers and committers share there.

Under ``.ncf-batch`` lie the plan (``_plan.json``), the audience, and by plan the receipts and what
rounds have found. A worker never makes a folder, and every file appears whole, so that work which
comes too late fails, or does no harm.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol

from batch.bucket import Bucket
from batch.folder import Folder
from batch.plans import PLAN_FILE, RECEIPTS, SHARED, Plan, read_plan
from batch.receipts import Receipt, read_receipt
from batch.runs import Runs, open_runs
from ncf.errors import ArtifactError, UsageError


class Place(Protocol):
    """A place where runs are published."""

    runs: Runs
    """The published runs."""

    def coordinating(self) -> AbstractContextManager[None]:
        """Keep other planners and committers out."""

    def prepare(self) -> None:
        """Remove leftovers of dead writers, and check that the place can be written."""

    def read(self, path: str) -> bytes:
        """Read a shared file; FileNotFoundError if there is none."""

    def write(self, path: str, content: bytes) -> None:
        """Write a shared file, which appears whole; FileNotFoundError if its folder is gone."""

    def delete(self, path: str) -> None:
        """Delete a shared file, if it is there."""

    def names(self, folder: str) -> list[str]:
        """List the names of the shared files in a folder; none if it is not there."""

    def local(self, path: str) -> AbstractContextManager[Path]:
        """Give a shared file as a local one."""

    def begin(self, plan: Plan) -> None:
        """Make the folders of a plan."""

    def part_names(self, plan: Plan) -> list[str]:
        """List the files among a plan's parts."""

    def open_part(self, plan: Plan, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open a part; FileNotFoundError if there is none."""

    def write_part(self, plan: Plan, name: str, content: bytes) -> None:
        """Write a part, which appears whole; FileNotFoundError if the plan is closed."""

    def close(self, plan: Plan) -> None:
        """Take the parts out of the reach of late writers, where the place can."""

    def reopen(self, plan: Plan) -> None:
        """Let workers write parts again."""

    def publish(self, plan: Plan, files: Mapping[str, bytes], *, held: bool = False) -> None:
        """Make the run appear, with its manifest, other files, ``_SUCCESS``; or set it aside."""

    def release(self, name: str) -> None:
        """Move a run that was set aside to the others, whole."""

    def is_published(self, plan: Plan) -> bool:
        """Whether the run is in place, whole."""

    def replace(self, name: str, content: bytes) -> None:
        """Replace a file beside the runs, in one step."""

    def remove(self, name: str) -> None:
        """Remove a run, or what is left of one, unless somebody reads it."""

    def retire(self, plan: Plan) -> None:
        """Remove parts and receipts of a plan that another one has replaced."""

    def drop(self, folder: str) -> None:
        """Remove the shared folder of a plan."""

    def clear(self) -> None:
        """Remove all shared files."""


def open_place(out: str | Path, work: Path | None = None) -> Place:
    """Open a place to publish runs.

    Parameters
    ----------
    out : str or Path
        Folder of all runs, or a URI such as ``s3://bucket/topk``.
    work : Path, optional
        Folder of the lock that keeps two batches on this machine out of one object store; the
        default is under ``$XDG_CACHE_HOME`` or, if that is not set, in the folder of temporary
        files.

    Raises
    ------
    UsageError
        The place is not a name, its kind of URI is unknown, or ``work`` is given for a folder.
    """
    runs = open_runs(out)
    if runs.folder is not None:
        if work is not None:
            raise UsageError("`work` applies only to object stores", remedy="leave it out")
        return Folder(runs, runs.folder)
    return Bucket(runs, str(out), work)


def current_plan(place: Place) -> Plan | None:
    """Read the plan of the unfinished run; None if there is none.

    Raises
    ------
    ArtifactError
        It is damaged.
    """
    try:
        content = place.read(PLAN_FILE)
    except FileNotFoundError:
        return None
    return read_plan(content, f"{place.runs.root}/{SHARED}/{PLAN_FILE}")


def require_open(place: Place, plan: Plan) -> None:
    """Refuse work on a plan that is not the one of this place any more.

    Raises
    ------
    ArtifactError
        It was committed, or another plan took its place.
    """
    now = current_plan(place)
    if now is None or now.id != plan.id:
        raise closed(place, plan)


def closed(place: Place, plan: Plan) -> ArtifactError:
    """Say that a plan takes no more parts."""
    return ArtifactError(
        f"plan {plan.folder} is closed: it was committed, or another one took its place",
        where=place.runs.root,
        remedy="nothing is lost; plan again for a new run",
    )


def receipts_of(place: Place, plan: Plan, files: list[str], number: int) -> list[Receipt]:
    """Read the receipts of a shard.

    Raises
    ------
    ArtifactError
        One is torn, or of another plan.
    """
    folder = f"{plan.folder}/{RECEIPTS}"
    above = f"{place.runs.root}/{SHARED}/{folder}"
    contents = ((file, place.read(f"{folder}/{file}")) for file in files)
    return [read_receipt(content, plan, number, f"{above}/{file}") for file, content in contents]
