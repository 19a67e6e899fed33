"""Keep a second coordinator out of an object store, where the store can make an object only once.

A coordinator makes the next of numbered lock objects, which fails if another has made it, and
rewrites its own every few seconds. One that is not rewritten for longer is taken to be dead, and
the next number takes over from it; whoever has no longer the highest number publishes nothing.
Clocks of different machines are not compared.
"""

import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from pyarrow import fs

from batch.once import Create, through_boto3, through_fsspec
from batch.runs import Runs
from batch.stores import OBJECT_STORES, storage_access
from ncf.errors import LockedError, NcfError, UnreachableError
from ncf.locks import this_host

logger = logging.getLogger(__name__)

BEAT, LEASE = 5.0, 20.0  # seconds
_PREFIX = ".ncf-lock-"
_READS = 3  # of a lock object that makes no sense
_REMEDY = "wait for it to end, or choose another output folder"


@contextmanager
def leased(runs: Runs, out: str) -> Iterator[Callable[[], None]]:
    """Hold the lock of an object store; yield a function that raises once it is lost.

    Parameters
    ----------
    runs : Runs
        The store and its prefix.
    out : str
        The URI, as it was given.

    Raises
    ------
    LockedError
        A coordinator on another machine holds it.
    """
    with storage_access(runs.root):
        if runs.system.type_name not in OBJECT_STORES:
            runs.system.create_dir(runs.root, recursive=True)
        create = _creator(runs, out)
        if create is None:
            logger.warning(
                "%s: this store makes no object only once: a batch on another machine is not kept "
                "out; run one at a time",
                runs.root,
            )
            yield lambda: None
            return
        lease = _Lease(runs.system, runs.root, create)
        lease.acquire()
    beating = threading.Thread(target=lease.beat, name="lease", daemon=True)
    beating.start()
    try:
        yield lease.require
    finally:
        lease.ended.set()
        beating.join()
        with suppress(NcfError, OSError):
            lease.release()


@dataclass
class _Lease:
    """A numbered lock object of this process."""

    system: fs.FileSystem
    root: str
    create: Create
    number: int = 0
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    ended: threading.Event = field(default_factory=threading.Event)

    def acquire(self) -> None:
        """Make the next number, once the holder of the last one is known to be dead."""
        while True:
            last = max(self._numbers(), default=0)
            if last and (holder := self._read(last)):
                self._require_dead(last, holder)
            if not self.create(self._path(last + 1), self._content(0)):
                continue
            self.number = last + 1
            if max(self._numbers()) == self.number:
                return
            self.release()  # numbers began anew meanwhile, and another has a higher one

    def beat(self) -> None:
        """Rewrite the object until the end."""
        count = 0
        while not self.ended.wait(BEAT):
            count += 1
            with suppress(OSError):  # the next beat tries again
                self._write(self._path(self.number), self._content(count))

    def require(self) -> None:
        """Refuse to go on if another coordinator has taken over.

        Raises
        ------
        LockedError
            One has.
        """
        with storage_access(self.root):
            last = max(self._numbers(), default=0)
            mine = last == self.number and self._read(last).get("token") == self.token
        if not mine:
            raise LockedError(
                "another batch has taken over: this one was not heard of for too long",
                where=self.root,
                remedy="run the same command again once it has ended",
            )

    def release(self) -> None:
        """Delete the object, and those of the dead before it."""
        for number in sorted(self._numbers()):
            if number < self.number or self._read(number).get("token") == self.token:
                with suppress(FileNotFoundError):
                    self.system.delete_file(self._path(number))

    def _require_dead(self, number: int, holder: dict[str, object]) -> None:
        who = f"{holder.get('host')} (pid {holder.get('pid')})"
        here, pid = holder.get("machine") == _machine(), str(holder.get("pid"))
        if here and pid.isdecimal() and not psutil.pid_exists(int(pid)):
            return
        logger.info("looking for up to %.0f s whether %s still publishes here", LEASE, who)
        until = time.monotonic() + LEASE  # a pid may be that of another process by now
        while time.monotonic() < until and self._read(number) == holder:
            time.sleep(min(1.0, LEASE / 10))
        if self._read(number) not in ({}, holder):
            raise LockedError(
                f"another process, on {who}, is writing this", where=self.root, remedy=_REMEDY
            )

    def _numbers(self) -> list[int]:
        selector = fs.FileSelector(self.root, allow_not_found=True)
        names = [each.base_name for each in self.system.get_file_info(selector) if each.is_file]
        ours = [name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)]
        return [int(number) for number in ours if number.isdecimal()]

    def _path(self, number: int) -> str:
        return f"{self.root}/{_PREFIX}{number:08d}"

    def _content(self, beat: int) -> bytes:
        holder = {"host": this_host(), "pid": os.getpid(), "machine": _machine()}
        return json.dumps({**holder, "token": self.token, "beat": beat}).encode()

    def _read(self, number: int) -> dict[str, object]:
        """Read who holds a number; nothing if it was released meanwhile."""
        for _ in range(_READS):
            try:
                with self.system.open_input_stream(self._path(number)) as stream:
                    found = json.loads(stream.read())
            except FileNotFoundError:
                return {}
            except ValueError:  # a beat, longer than the one before, came while it was read
                continue
            if isinstance(found, dict):
                return found
        return {"host": "somebody", "pid": "unknown"}

    def _write(self, path: str, content: bytes) -> None:
        with self.system.open_output_stream(path) as stream:
            stream.write(content)


def _machine() -> str:
    """Tell apart machines, and containers of one machine: a pid means something in one alone."""
    found = [this_host()]
    with suppress(OSError):
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with suppress(OSError):
        found.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(found)


def _creator(runs: Runs, out: str) -> Create | None:
    """Find a way to make an object only once, and try whether it is one."""
    probe = f"{runs.root}/{_PREFIX}probe-{uuid.uuid4().hex}"
    s3 = runs.system.type_name == "s3"
    try:
        create = through_boto3(out) if s3 else through_fsspec(runs.system)
        if create is None:
            return None
        once = create(probe, b"") and not create(probe, b"")
        runs.system.delete_file(probe)
    except UnreachableError:
        raise  # it may know how, but does not answer now
    except Exception as error:  # noqa: BLE001 - of other libraries, each with its own classes
        logger.warning("%s: no lock can be kept (%s)", runs.root, error)
        return None
    return create if once else None
