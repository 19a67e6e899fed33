"""Runs under a prefix of an object store: parts go there at once, ``_SUCCESS`` makes it a run."""

import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

from pyarrow import fs

from batch.cache import cache_of
from batch.leases import leased
from batch.manifest import RUN
from batch.plans import FOUND, PLAN_FILE, RECEIPTS, SHARED, Plan
from batch.runs import GATES_FILE, HELD, REPORT_FILE, SUCCESS_FILE, USERS_FILE, Runs
from batch.stores import OBJECT_STORES, storage_access
from ncf.locks import writer_lock

_PROBE = ".ncf-probe"
_NO_PARTS = {RUN.manifest, GATES_FILE, REPORT_FILE, USERS_FILE, SUCCESS_FILE}


class Bucket:
    """Runs under a prefix of an object store.

    An object store cannot rename, but each object appears whole. So parts go to the prefix of
    their run, which is no run before it has a ``_SUCCESS``.

    Parameters
    ----------
    runs : Runs
        The published runs.
    out : str
        The URI, as it was given.
    work : Path or None
        Folder of this machine's lock.
    """

    def __init__(self, runs: Runs, out: str, work: Path | None) -> None:
        self.runs = runs
        self._out, self._work = out, work
        self._system, self._root = runs.system, runs.root
        self._shared = f"{runs.root}/{SHARED}"
        self._reading = threading.Lock()
        self._require_lease: Callable[[], None] = lambda: None

    @contextmanager
    def coordinating(self) -> Iterator[None]:
        """Hold this machine's lock, then that of the store where it can keep one."""
        with (
            writer_lock((self._work or cache_of(self._out)) / "runs"),
            leased(self.runs, self._out) as require_lease,
        ):
            self._require_lease = require_lease
            yield

    def prepare(self) -> None:
        """Write an object and remove it, so that a failure comes before the scoring."""
        probe = f"{self._root}/{_PROBE}-{uuid.uuid4().hex}"
        with storage_access(self._root):
            self._make_folder(self._root)
            self._put(probe, b"")
            self._system.delete_file(probe)

    def read(self, path: str) -> bytes:
        """Read a shared object."""
        return self._read(f"{self._shared}/{path}")

    def write(self, path: str, content: bytes) -> None:
        """Write a shared object."""
        target = f"{self._shared}/{path}"
        with storage_access(self._root):
            if "/" not in path:  # written by coordinators alone
                self._make_folder(self._shared)
            self._put(target, content)

    def delete(self, path: str) -> None:
        """Delete a shared object."""
        with storage_access(self._root):
            self._delete(f"{self._shared}/{path}")

    def names(self, folder: str) -> list[str]:
        """List the shared objects under a prefix."""
        return self._names(f"{self._shared}/{folder}")

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """Copy a shared object to a temporary file."""
        with tempfile.TemporaryDirectory(prefix="ncf-") as scratch:
            copy = Path(scratch, "copy")
            with (
                storage_access(self._root),
                self._system.open_input_stream(f"{self._shared}/{path}") as source,
                copy.open("wb") as target,
            ):
                shutil.copyfileobj(source, target, 1 << 20)
            yield copy

    def begin(self, plan: Plan) -> None:
        """Make the folders of a plan, where the store has folders."""
        self.drop(plan.folder)
        with storage_access(self._root):
            for folder in (
                f"{self._root}/{plan.run}",
                *(f"{self._shared}/{plan.folder}/{name}" for name in (RECEIPTS, FOUND)),
            ):
                self._make_folder(folder)

    def part_names(self, plan: Plan) -> list[str]:
        """List the objects among the parts."""
        names = self._names(f"{self._root}/{plan.run}")
        return [name for name in names if name not in _NO_PARTS]

    @contextmanager
    def open_part(self, plan: Plan, name: str) -> Iterator[IO[bytes]]:
        """Open a part."""
        path = f"{self._root}/{plan.run}/{name}"
        with storage_access(path), self._system.open_input_stream(path) as stream:
            yield stream

    def write_part(self, plan: Plan, name: str, content: bytes) -> None:
        """Write a part to its place."""
        path = f"{self._root}/{plan.run}/{name}"
        with storage_access(path):
            self._put(path, content)

    def close(self, plan: Plan) -> None:
        """Do nothing: an object store cannot rename."""

    def reopen(self, plan: Plan) -> None:
        """Do nothing, as above."""

    def publish(self, plan: Plan, files: Mapping[str, bytes], *, held: bool = False) -> None:
        """Write the manifest, then ``_SUCCESS``; set aside, a run is copied first."""
        self._require_lease()
        run = f"{self._root}/{plan.run}"
        target = f"{self._root}/{HELD}/{plan.run}" if held else run
        with storage_access(run):
            if held:
                self._copy(run, target)
            for name, content in {**files, SUCCESS_FILE: b""}.items():
                self._put(f"{target}/{name}", content)
            if held:
                self._delete_folder(run)

    def release(self, name: str) -> None:
        """Copy a run that was set aside, its ``_SUCCESS`` last, then delete it there."""
        self._require_lease()
        held = f"{self._root}/{HELD}/{name}"
        with storage_access(held):
            self._copy(held, f"{self._root}/{name}")
            self._put(f"{self._root}/{name}/{SUCCESS_FILE}", b"")
            self._delete(f"{held}/{SUCCESS_FILE}")
            self._delete_folder(held)

    def is_published(self, plan: Plan) -> bool:  # noqa: ARG002 - as of a folder
        """Say no: where nothing is renamed, all is checked and written again."""
        return False

    def replace(self, name: str, content: bytes) -> None:
        """Replace an object, which is one step."""
        self._require_lease()
        with storage_access(self._root):
            self._put(f"{self._root}/{name}", content)

    def remove(self, name: str) -> None:
        """Delete ``_SUCCESS`` first, so that a half removed run is not read as a run."""
        run = f"{self._root}/{name}"
        with storage_access(run):
            self._delete(f"{run}/{SUCCESS_FILE}")
            self._delete_folder(run)

    def retire(self, plan: Plan) -> None:
        """Delete parts and receipts; what the rounds have found stays for the next try."""
        self.remove(plan.run)
        with storage_access(self._root):
            self._delete_folder(f"{self._shared}/{plan.folder}/{RECEIPTS}")

    def drop(self, folder: str) -> None:
        """Delete the shared objects of a plan."""
        with storage_access(self._root):
            self._delete_folder(f"{self._shared}/{folder}")

    def clear(self) -> None:
        """Delete all shared objects, the plan first."""
        self.delete(PLAN_FILE)
        with storage_access(self._root):
            self._delete_folder(self._shared)

    def _read(self, path: str) -> bytes:
        # Places in memory hand one open file to all threads.
        alone = nullcontext() if self._has_objects() else self._reading
        with alone, storage_access(self._root), self._system.open_input_stream(path) as stream:
            content: bytes = stream.read()
        return content

    def _put(self, path: str, content: bytes) -> None:
        aside = path if self._has_objects() else f"{path}.{uuid.uuid4().hex}.tmp"
        try:
            with self._system.open_output_stream(aside) as stream:
                stream.write(content)
            if aside != path:
                self._system.move(aside, path)
        except BaseException:
            if aside != path:
                with suppress(OSError):
                    self._system.delete_file(aside)
            raise

    def _names(self, folder: str) -> list[str]:
        with storage_access(self._root):
            selector = fs.FileSelector(folder, allow_not_found=True)
            found = self._system.get_file_info(selector)
        return sorted(each.base_name for each in found if each.is_file and each.base_name)

    def _copy(self, source: str, target: str) -> None:
        self._make_folder(target)
        for name in self._names(source):
            if name != SUCCESS_FILE:
                self._system.copy_file(f"{source}/{name}", f"{target}/{name}")

    def _delete(self, path: str) -> None:
        if self._system.get_file_info(path).is_file:
            self._system.delete_file(path)

    def _delete_folder(self, path: str) -> None:
        if self._system.get_file_info(path).type is fs.FileType.Directory:
            self._system.delete_dir(path)

    def _make_folder(self, path: str) -> None:
        """Make a folder if the store has folders; S3 and GCS would get an empty object."""
        if not self._has_objects():
            self._system.create_dir(path, recursive=True)

    def _has_objects(self) -> bool:
        """Whether a write appears whole and folders are only prefixes."""
        return self._system.type_name in OBJECT_STORES
