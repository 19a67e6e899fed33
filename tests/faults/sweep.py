"""Try every fault on some commands, and look at what is left each time.

    OMP_NUM_THREADS=1 python -m tests.faults.sweep FOLDER COMMAND[:N] ... [--random 5] [--seed 0]

FOLDER is an empty one; where it is the root of a small file system of its own (see test_faults.py),
its disk is filled up and made read-only too. COMMAND is fetch, prepare, train, export, verify or
batch; with ``:N`` each N-th of its file operations alone is tried. Prints, by command and fault,
how often it was tried, and what went wrong, as JSON.
"""

import argparse
import errno
import gc
import json
import logging
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ncf.errors import BAD_INPUT, TEMPORARY
from ncf.locks import writer_lock
from tests.commands import Ended
from tests.commands import ncf as command_line
from tests.faults.cases import CASES, build, copied, serve_dataset
from tests.faults.killer import (
    Outcome,
    Watch,
    disk_error,
    failing_flush,
    killed_after,
    operations,
    outcome,
    remount,
    set_clock,
    small_files,
)

_FILE_SIZES = (100, 300, 1000, 3000)
_BLOCKS_LEFT = (0, 1, 3, 8)  # of 4 KiB
_BLOCK = 4096


class Sweep:
    """One command, in a world that is made anew before each fault.

    Parameters
    ----------
    name : str
        Of the case.
    folder : Path
        Scratch.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self._case = CASES[name]
        self._folder = folder
        self.home = folder / "home"
        self._fresh = folder / "fresh"
        self.tried: Counter[str] = Counter()
        self.problems: list[str] = []
        shutil.rmtree(self._fresh, ignore_errors=True)
        build(name, self._fresh)
        self._renew()
        self._before = self._state()
        self._expect_done(self._run(), "undisturbed")
        self._after = self._state()

    def run(self) -> Ended:
        """Run the command, in this process."""
        return command_line(*self._case.command.split(), cwd=self.home)

    def count(self, *, reads: bool) -> int:
        """Count the command's file operations."""
        self._renew()
        return operations(self.run, self.home, reads=reads)

    def kills(self, every: int) -> None:
        """Kill it before each of its file operations."""
        for number in range(1, self.count(reads=False) + 1, every):
            self._renew()
            found = outcome(self.run, lambda number=number: Watch(number, folder=self.home))  # type: ignore[misc]
            if found.signal != signal.SIGKILL:
                self._note("kill", f"{number}: was not killed but {found}")
            self._check("kill", number, None)

    def random_kills(self, times: int, seed: int) -> None:
        """Kill it at random moments."""
        self._renew()
        started = time.monotonic()
        outcome(self.run)
        seconds = time.monotonic() - started
        rng = random.Random(seed)  # noqa: S311 - moments, not secrets
        for number in range(times):
            self._renew()
            killed_after(self.run, rng.uniform(0, seconds))
            self._check("random kill", number, None)

    def disk_errors(self, every: int) -> None:
        """Let each opening, renaming and flushing fail with EIO."""
        for number in range(1, self.count(reads=True) + 1, every):
            self._renew()
            found = outcome(
                self.run,
                lambda number=number: Watch(  # type: ignore[misc]
                    number, disk_error(errno.EIO), self.home, reads=True
                ),
            )
            self._check("input/output error", number, found)
        for number in range(1, 100, every):
            self._renew()
            found = outcome(self.run, lambda number=number: failing_flush(number))  # type: ignore[misc]
            if found.ended is not None and found.ended.code == 0:
                break  # it makes fewer flushes than that
            self._check("flush that fails", number, found)

    def full_disk(self) -> None:
        """Limit the size of files; fill the disk up where it is a small one of our own."""
        for most in _FILE_SIZES:
            self._renew()
            found = outcome(self.run, lambda most=most: small_files(most))  # type: ignore[misc]
            self._check("file too large", most, found, "no space left on the disk")
        if not self._folder.is_mount():
            return
        for blocks in _BLOCKS_LEFT:
            self._renew()
            with self._ballast(blocks * _BLOCK):
                found = outcome(self.run)
            self._check("full disk", blocks, found, "no space left on the disk")

    def read_only(self) -> None:
        """Make the disk read-only, where it is one of our own."""
        if not self._folder.is_mount():
            return
        self._renew()
        gc.collect()  # a mapped file that was removed keeps the disk busy
        remount(self._folder, "ro")
        found = outcome(self.run)
        remount(self._folder, "rw")
        self._check("read-only disk", 0, found, "cannot write here")
        if self._case.target and (found.ended is None or found.ended.code != 2):
            self._note("read-only disk", f"was not refused but {found}")

    def second_writer(self) -> None:
        """Hold the lock in another process; then kill that."""
        if not self._case.target:
            return
        self._renew()
        reading, writing = os.pipe()
        holder = os.fork()
        if holder == 0:
            with writer_lock(self.home / self._case.target):
                os.write(writing, b"held")
                signal.pause()
        os.read(reading, 4)
        found = outcome(self.run)
        if f"another process (pid {holder} on " not in _error(found):
            self._note("second writer", f"was not refused but {found}")
        if self._state() != self._before:
            self._note("second writer", "changed the output")
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        os.close(reading)
        os.close(writing)
        self._check("second writer", 0, None)

    def other_clock(self) -> None:
        """Set the clock back by years and the zone to another one: the same result."""
        self._renew()
        for zone in ("Pacific/Kiritimati", "America/St_Johns"):
            found = outcome(self.run, lambda zone=zone: set_clock(zone))  # type: ignore[misc]
            self._expect_done(found, f"clock in {zone}")
            self.tried["clock set back"] += 1
            if self._state() != self._after:
                self._note("clock set back", f"{zone}: another result")

    def _renew(self) -> None:
        copied(self._fresh, self.home)

    def _run(self) -> Outcome:
        return outcome(self.run)

    def _state(self) -> object:
        return self._case.result(self.home)

    def _check(self, fault: str, number: int, found: Outcome | None, promised: str = "") -> None:
        """Hold what a fault left to the contract."""
        self.tried[fault] += 1
        where = f"{number}"
        code = None if found is None or found.ended is None else found.ended.code
        if found is not None and code not in {0, BAD_INPUT, TEMPORARY}:
            self._note(fault, f"{where}: {found}")
        if code == BAD_INPUT and "free some" in _error(found):
            self._note(fault, f"{where}: a full disk ended with {code}")
        if code in {BAD_INPUT, TEMPORARY} and (
            promised not in _error(found) or "; " not in _error(found)
        ):
            self._note(fault, f"{where}: said {_error(found)!r}")
        try:
            state = self._state()
        except Exception as error:  # noqa: BLE001 - any is a find
            self._note(fault, f"{where}: the last output is not whole: {error}")
        else:
            if state not in ([self._after] if code == 0 else [self._before, self._after]):
                self._note(fault, f"{where}: the output is neither the old nor the new one")
        self._expect_done(self._run(), f"{fault} {where}: the same command again")
        if self._state() != self._after:
            self._note(fault, f"{where}: the same command again gave another result")
        if left := self._leftovers():
            self._note(fault, f"{where}: left {left}")

    def _expect_done(self, found: Outcome, label: str) -> None:
        if found.ended is None or found.ended.code:
            self._note(label, str(found))

    def _note(self, fault: str, problem: str) -> None:
        self.problems.append(f"{fault}: {problem}"[:600])

    def _leftovers(self) -> list[str]:
        ends = (".tmp", ".work", ".parts", ".part", ".ncf-batch", ".pid")
        return [str(path) for path in self.home.rglob("*") if path.name.endswith(ends)]

    @contextmanager
    def _ballast(self, free: int) -> Iterator[None]:
        """Leave so many bytes free."""
        ballast = self._folder / "ballast"
        status = os.statvfs(self._folder)
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, status.f_bavail * status.f_frsize - free))
        try:
            yield
        finally:
            ballast.unlink()


def _error(found: Outcome | None) -> str:
    if found is None or found.ended is None:
        return ""
    lines = [line for line in found.ended.err.splitlines() if line.startswith("ncf: ")]
    return lines[-1] if lines else ""


def _swept(words: str, folder: Path, times: int, seed: int) -> dict[str, Any]:
    command, _, every = words.partition(":")
    sweep, step = Sweep(command, folder), int(every or 1)
    trials: list[Callable[[], None]] = [
        lambda: sweep.kills(step),
        lambda: sweep.random_kills(times, seed),
        lambda: sweep.disk_errors(step),
        sweep.full_disk,
        sweep.read_only,
        sweep.second_writer,
        sweep.other_clock,
    ]
    started = time.monotonic()
    for trial in trials:
        trial()
    seconds = round(time.monotonic() - started, 1)
    return {"tried": sweep.tried, "problems": sweep.problems, "seconds": seconds}


def main() -> None:
    """Try them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("commands", nargs="+", metavar="COMMAND[:N]")
    parser.add_argument("--random", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        parser.error(
            "set OMP_NUM_THREADS=1: the forked child of a process of many threads may hang"
        )
    logging.disable(logging.INFO)
    os.environ["NO_PROXY"] = "127.0.0.1"
    server = serve_dataset(arguments.folder / "served")
    try:
        report = {
            words.partition(":")[0]: _swept(
                words, arguments.folder, arguments.random, arguments.seed
            )
            for words in arguments.commands
        }
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
    sys.stdout.write(f"{json.dumps(report)}\n")


if __name__ == "__main__":
    main()
