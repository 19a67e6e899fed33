"""Collect the rows that wait while a batch is scored, and score them together in the next."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

logger = logging.getLogger(__name__)

_TICK = 0.05  # seconds; whoever waits longer is watched for a disconnect
Task = TypeVar("Task")
Result = TypeVar("Result")
Receive = Callable[[], Awaitable[Any]]


class BusyError(Exception):
    """Too many rows wait already."""


class OverdueError(Exception):
    """The deadline passed before there was an answer."""


class GoneError(Exception):
    """The client is gone before there was an answer."""


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Task, Result]):
    """A task, the future of its result, and since when it waits."""

    task: Task
    future: "asyncio.Future[Result]"
    since: float
    receive: Receive | None = None
    watcher: "asyncio.Task[None] | None" = None


class Batcher(Generic[Task, Result]):
    """Runs tasks in batches on a thread of its own.

    A task that comes while the thread is idle runs at once, alone. Those that come while a batch
    runs wait for the next, which takes them all: there is no delay to fill a batch.

    Parameters
    ----------
    run : callable
        Takes the tasks of a batch and gives their results, in order; runs on the thread.
    batch : int
        Most tasks of a batch.
    queue : int
        Most tasks that wait.
    deadline : float
        Most seconds that a task waits for its result.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Task]], Sequence[Result]],
        batch: int = 64,
        queue: int = 1000,
        deadline: float = 10.0,
    ) -> None:
        self._run = run
        self._batch = batch
        self._most = queue
        self._deadline = deadline
        self._queue: SimpleQueue[_Waiting[Task, Result] | Callable[[], object] | None]
        self._queue = SimpleQueue()
        self._pending: set[_Waiting[Task, Result]] = set()
        self._thread: threading.Thread | None = None
        self._ticking: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Count of tasks without a result."""
        return len(self._pending)

    async def submit(self, task: Task, receive: Receive | None = None) -> Result:
        """Wait for the result of a task.

        Parameters
        ----------
        task : Task
            What to run.
        receive : callable, optional
            ASGI's ``receive`` of a request whose body is read: then a disconnect ends the waiting.

        Raises
        ------
        BusyError
            Too many tasks wait.
        OverdueError
            The deadline has passed.
        GoneError
            The client has disconnected.
        """
        if len(self._pending) >= self._most:
            raise BusyError
        loop = asyncio.get_running_loop()
        waiting = _Waiting(task, loop.create_future(), time.monotonic(), receive)
        self._pending.add(waiting)
        self._start(loop)
        self._queue.put(waiting)
        try:
            result: Result = await waiting.future
            return result
        finally:
            self._pending.discard(waiting)
            if waiting.watcher is not None:
                waiting.watcher.cancel()

    def call(self, function: Callable[[], object]) -> None:
        """Call a function on the thread, after the tasks that were submitted before."""
        self._queue.put(function)

    def close(self) -> None:
        """Run what waits, and end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="ncf-batches", daemon=True)
            self._thread.start()
        if self._ticking is None:
            self._ticking = loop.call_later(_TICK, self._tick)

    def _tick(self) -> None:
        """Look at those that wait long: end what is overdue, and watch the others' clients."""
        now = time.monotonic()
        for each in self._pending:
            waited = now - each.since
            if each.future.done():
                continue
            if waited > self._deadline:
                each.future.set_exception(OverdueError())
            elif waited > _TICK and each.receive is not None and each.watcher is None:
                each.watcher = asyncio.ensure_future(_watch(each.receive, each.future))
        self._ticking = None
        if self._pending:
            self._ticking = asyncio.get_running_loop().call_later(_TICK, self._tick)

    def _serve(self) -> None:
        while (first := self._queue.get()) is not None:
            batch: list[_Waiting[Task, Result] | Callable[[], object] | None] = [first]
            with contextlib.suppress(Empty):
                while len(batch) < self._batch and batch[-1] is not None:
                    batch.append(self._queue.get_nowait())
            self._run_all(
                [each for each in batch if isinstance(each, _Waiting) and not each.future.done()]
            )
            for each in batch:
                if each is not None and not isinstance(each, _Waiting):
                    _called(each)
            if batch[-1] is None:
                return

    def _run_all(self, batch: "list[_Waiting[Task, Result]]") -> None:
        if not batch:
            return
        results: Sequence[Result] | Exception
        try:
            results = self._run([each.task for each in batch])
        except Exception as error:
            logger.exception("a batch of %d failed", len(batch))
            results = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            batch[0].future.get_loop().call_soon_threadsafe(_deliver, batch, results)


def _deliver(batch: "list[_Waiting[Any, Any]]", results: Sequence[Any] | Exception) -> None:
    for position, each in enumerate(batch):
        if each.future.done():
            continue
        if isinstance(results, Exception):
            each.future.set_exception(results)
        else:
            each.future.set_result(results[position])


def _called(function: Callable[[], object]) -> None:
    try:
        function()
    except Exception:
        logger.exception("a call between batches failed")


async def _watch(receive: Receive, future: "asyncio.Future[Any]") -> None:
    # Once the body is read, nothing else comes.
    if (await receive())["type"] == "http.disconnect" and not future.done():
        future.set_exception(GoneError())
