"""Runs in a local folder, or on a shared disk: a run appears by a rename."""

import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO

from batch.manifest import RUN
from batch.plans import AUDIENCE_FILE, CARRIED_FILE, FOUND, PLAN_FILE, RECEIPTS, SHARED, Plan
from batch.runs import (
    GATES_FILE,
    HELD,
    HISTORY_FILE,
    LATEST_FILE,
    REPORT_FILE,
    RUN_NAME,
    SUCCESS_FILE,
    USERS_FILE,
    Runs,
)
from batch.trees import remove_tree
from ncf.artifacts import open_sealed
from ncf.disks import flush, fsync
from ncf.errors import ArtifactError, StorageError
from ncf.files import atomic_file, storage_errors, sweep
from ncf.locks import removal_lock, writer_lock
from ncf.volumes import UNMOVABLE

logger = logging.getLogger(__name__)

PARTS, SEALED, _ASIDE = "parts", "sealed", "aside"
_PLAN_FOLDER = r"[0-9a-f]{16}"
_FORMER = {"identity.json", "name", "parts", "notes"}  # unfinished runs of earlier versions
_OURS = re.compile(
    rf"{_PLAN_FOLDER}|{re.escape(PLAN_FILE)}|{re.escape(AUDIENCE_FILE)}|"
    rf"{re.escape(CARRIED_FILE)}|\..*\.tmp"
)


class Folder:
    """Runs in a folder.

    Parts lie in a folder of their plan until they are published. Closing the plan renames this
    folder: whoever writes a part later finds no folder to write it to.

    Parameters
    ----------
    runs : Runs
        The published runs.
    path : Path
        Their folder.
    """

    def __init__(self, runs: Runs, path: Path) -> None:
        self.runs = runs
        self._path = path
        self._shared = path / SHARED

    @contextmanager
    def coordinating(self) -> Iterator[None]:
        """Hold the lock of the folder."""
        with writer_lock(self._path / "runs"):
            yield

    def prepare(self) -> None:
        """Remove leftovers of dead writers; refuse a shared folder of somebody else's."""
        sweep(self._path, f"{RUN_NAME}|{LATEST_FILE}|{HISTORY_FILE}")
        sweep(self._path / HELD, RUN_NAME)
        names = {path.name for path in self._shared.iterdir()} if self._shared.exists() else set()
        foreign = [name for name in names - _FORMER if not _OURS.fullmatch(name)]
        if foreign:
            raise StorageError(
                f"holds {min(foreign)!r}, which no batch has written",
                where=self._shared,
                remedy="move it away, or choose another output folder",
            )
        if PLAN_FILE not in names:
            self.clear()

    def read(self, path: str) -> bytes:
        """Read a shared file."""
        return (self._shared / path).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        """Write a shared file under another name, then rename it."""
        target = self._shared / path
        if target.parent == self._shared:  # written by coordinators alone
            with storage_errors(self._shared):
                self._shared.mkdir(parents=True, exist_ok=True)
        _put(target, content, target.parent)

    def delete(self, path: str) -> None:
        """Delete a shared file."""
        (self._shared / path).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """List the shared files in a folder."""
        return _names(self._shared / folder)

    def local(self, path: str) -> AbstractContextManager[Path]:
        """Give the path of a shared file."""
        return nullcontext(self._shared / path)

    def begin(self, plan: Plan) -> None:
        """Make the folders of a plan; those of a former attempt at it are made anew."""
        folder = self._of(plan)
        with storage_errors(self._shared):
            if folder.exists():
                shutil.rmtree(folder)
            for name in (PARTS, RECEIPTS, FOUND, _ASIDE):
                (folder / name).mkdir(parents=True)

    def part_names(self, plan: Plan) -> list[str]:
        """List the files among the parts."""
        return _names(self._parts(plan))

    def open_part(self, plan: Plan, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open a part."""
        return (self._parts(plan) / name).open("rb")

    def write_part(self, plan: Plan, name: str, content: bytes) -> None:
        """Write a part aside, then rename it in among the others."""
        _put(self._of(plan) / PARTS / name, content, self._of(plan) / _ASIDE)

    def close(self, plan: Plan) -> None:
        """Rename the folder of the parts, where late writers do not find it."""
        with storage_errors(self._shared):
            (self._of(plan) / PARTS).rename(self._of(plan) / SEALED)
            for stale in (self._of(plan) / SEALED).glob(".*.tmp"):
                stale.unlink()

    def reopen(self, plan: Plan) -> None:
        """Give the folder of the parts its name again."""
        sealed = self._of(plan) / SEALED
        if sealed.exists():
            for name in (RUN.manifest, GATES_FILE, REPORT_FILE, USERS_FILE, SUCCESS_FILE):
                (sealed / name).unlink(missing_ok=True)
            sealed.rename(self._of(plan) / PARTS)

    def publish(self, plan: Plan, files: Mapping[str, bytes], *, held: bool = False) -> None:
        """Rename the parts into place, with manifest and ``_SUCCESS``."""
        sealed, target = self._of(plan) / SEALED, self._path / (HELD if held else "") / plan.run
        with storage_errors(target):
            target.parent.mkdir(exist_ok=True)
            for name, content in {**files, SUCCESS_FILE: b""}.items():
                (sealed / name).write_bytes(content)
                fsync(sealed / name)  # whoever wrote a part has flushed it
            fsync(sealed)
            sealed.rename(target)
            fsync(target.parent)

    def release(self, name: str) -> None:
        """Rename a run that was set aside."""
        with storage_errors(self._path / name):
            (self._path / HELD / name).rename(self._path / name)
            fsync(self._path)

    def is_published(self, plan: Plan) -> bool:
        """Whether the parts were renamed into place; if they were and are damaged, start over."""
        if self._parts(plan) != self._path / plan.run:
            return False
        try:
            open_sealed(self._path / plan.run, RUN)
        except ArtifactError as error:
            logger.warning("starting over: %s", error)
            self.remove(plan.run)
            self.begin(plan)
            return False
        return True

    def replace(self, name: str, content: bytes) -> None:
        """Rename a file into place."""
        with atomic_file(self._path / name) as file:
            file.write(content)

    def remove(self, name: str) -> None:
        """Rename a run aside, then remove it."""
        run = self._path / name
        if not run.exists():
            return
        with removal_lock(run / SUCCESS_FILE) as free:
            if not free:
                logger.info("%s is being read: kept", run)
                return
            aside = run.with_name(f".{run.name}.{os.getpid()}.tmp")
            try:
                run.rename(aside)
            except OSError as error:
                if error.errno not in UNMOVABLE:
                    raise
                # In a lower layer of an image: without _SUCCESS, half of a run is none.
                (run / SUCCESS_FILE).unlink(missing_ok=True)
                aside = run
        shutil.rmtree(aside)

    def retire(self, plan: Plan) -> None:
        """Remove parts and receipts; what the rounds have found stays for the next try."""
        for name in (PARTS, SEALED, RECEIPTS, _ASIDE):
            remove_tree(self._of(plan) / name)

    def drop(self, folder: str) -> None:
        """Remove the folder of a plan."""
        remove_tree(self._shared / folder)

    def clear(self) -> None:
        """Remove the shared folder; the plan goes first, so that no worker goes on."""
        (self._shared / PLAN_FILE).unlink(missing_ok=True)
        remove_tree(self._shared)

    def _of(self, plan: Plan) -> Path:
        return self._shared / plan.folder

    def _parts(self, plan: Plan) -> Path:
        """Find the parts: those of an open plan, of a closed one, or of a published one."""
        folders = (self._of(plan) / SEALED, self._of(plan) / PARTS)
        return next((path for path in folders if path.exists()), self._path / plan.run)


def _put(target: Path, content: bytes, folder: Path) -> None:
    """Write a file aside in a folder and rename it; nothing makes a folder."""
    aside = folder / f".{uuid.uuid4().hex}.tmp"
    with storage_errors(target), storage_errors(aside):
        try:
            with aside.open("xb") as file:
                file.write(content)
                file.flush()
                flush(file.fileno())
            aside.replace(target)
            fsync(target.parent)
        finally:
            aside.unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []
