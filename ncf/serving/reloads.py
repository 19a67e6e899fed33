"""Have every worker look for a new bundle, and tell the one that asked when all have."""

import asyncio
import contextlib
import json
import time
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any

_WITHIN = 120.0  # seconds


@dataclass(eq=False)
class Worker:
    """A worker process, and the supervisor's side of the talk with it.

    Parameters
    ----------
    process : asyncio.subprocess.Process
        The process.
    reader, writer : streams
        The talk: one JSON object a line.
    started : float
        When it was started, on the monotonic clock.
    ready : bool
        Whether it serves the port.
    """

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    started: float = field(default_factory=time.monotonic)
    ready: bool = False

    def say(self, **message: object) -> None:
        """Tell it something; a worker that is gone hears nothing."""
        with contextlib.suppress(OSError, RuntimeError):
            self.writer.write(json.dumps(message).encode() + b"\n")


@dataclass
class _Reload:
    """A reload that not every worker has done."""

    waiting: set[Worker]
    asker: Worker | None
    changes: list[Any] = field(default_factory=list)


class Reloads:
    """Reloads under way.

    Parameters
    ----------
    workers : set of Worker
        The workers of now.
    """

    def __init__(self, workers: Set[Worker]) -> None:
        self._workers = workers
        self._under_way: dict[int, _Reload] = {}

    def begin(self, asker: Worker | None = None, number: int = 0) -> None:
        """Have every worker reload; ``asker`` is told under its number when all have."""
        number = number or time.monotonic_ns()
        asked = {worker for worker in self._workers if worker.ready}
        self._under_way[number] = _Reload(asked, asker)
        for worker in asked:
            worker.say(reload=number)
        asyncio.get_running_loop().call_later(_WITHIN, self._finish, number)

    def done(self, number: int, worker: Worker, changes: list[Any]) -> None:
        """Take what a worker has done."""
        reload = self._under_way.get(number)
        if reload is None:
            return
        reload.waiting.discard(worker)
        reload.changes += changes
        if not reload.waiting:
            self._finish(number)

    def forget(self, worker: Worker) -> None:
        """Wait no longer for a worker that has ended."""
        for number in list(self._under_way):
            self.done(number, worker, [])

    def _finish(self, number: int) -> None:
        reload = self._under_way.pop(number, None)
        if reload is None or reload.asker is None:
            return
        late = {"model": "", "digest": "", "refused": "a worker does not answer"}
        found = reload.changes + [late] * len(reload.waiting)
        # Workers agree, unless the folder has changed meanwhile: then each difference is told.
        changes = {json.dumps(each, sort_keys=True): each for each in found}
        reload.asker.say(reloaded=number, changes=list(changes.values()))
