"""Engines run the shards of a plan: here, the threads of one machine.

An engine gives the receipts of parts as they come, in any order. What makes a part is
:func:`batch.sessions.work`, which needs nothing of the engine, so that others can be thin: a task
of Ray or Spark for each shard, or a process of a scheduler.

Each block of users runs in its own thread through one session of one thread. On two cores that
was 1.7 times as fast as one session of two threads, whose operators are too small to split.
"""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from itertools import islice
from typing import Protocol

from batch.plans import Plan
from batch.receipts import Receipt
from batch.sessions import Session
from ncf.devices import Device, usable_cores
from ncf.errors import InterruptedWorkError
from ncf.progress import report

_SHARDS_AT_ONCE = 2  # one is scored while the other is written
_THREADS_ON_CUDA = 4  # each thread holds a block's hidden layers


class Engine(Protocol):
    """Runs shards of a plan somewhere."""

    def run(self, plan: Plan, shards: Iterable[int]) -> Iterator[Receipt]:
        """Finish every shard, and yield its receipt; the order is any."""


class Threads:
    """Runs shards on the threads of this process, so that one is written while another is scored.

    Parameters
    ----------
    session : Session
        An open plan; its tries follow one another in it.
    workers : int
        Threads that score; 0 takes every core that this process may use.
    """

    def __init__(self, session: Session, workers: int = 0) -> None:
        self._session = session
        self._workers = workers or _threads(session.plan)

    def run(self, plan: Plan, shards: Iterable[int]) -> Iterator[Receipt]:
        """Finish every shard; an error or an interrupt stops the others after the current block."""
        session, stop = self._session.on(plan), threading.Event()
        with ThreadPoolExecutor(self._workers) as pool:
            task = replace(session.task, pool=pool, stop=stop)
            with ThreadPoolExecutor(_SHARDS_AT_ONCE) as runners:
                try:
                    left, running = iter(shards), set[Future[Receipt]]()
                    while True:
                        for number in islice(left, 2 * _SHARDS_AT_ONCE - len(running)):
                            running.add(runners.submit(session.finish, number, task))
                        if not running:
                            return
                        done, running = wait(running, return_when=FIRST_COMPLETED)
                        for future in done:
                            yield future.result()
                except BaseException:
                    stop.set()
                    runners.shutdown(cancel_futures=True)
                    raise


def watched(engine: Engine, plan: Plan, shards: Iterable[int]) -> Iterator[Receipt]:
    """Show the progress of an engine, receipt by receipt.

    Raises
    ------
    InterruptedWorkError
        Ctrl-C or SIGTERM came; finished parts are kept.
    """
    numbers, done = list(shards), 0
    users = {number: plan.shard(number).stop - plan.shard(number).start for number in numbers}
    with report("score users", sum(users.values())) as progress:
        try:
            for receipt in engine.run(plan, numbers):
                done += 1
                progress.advance(users[receipt.shard])
                yield receipt
        except KeyboardInterrupt as error:
            raise InterruptedWorkError(
                f"interrupted with {done} of {len(numbers)} parts finished",
                remedy="the same command continues from them",
            ) from error


def _threads(plan: Plan) -> int:
    """Count the threads that score: on a GPU, enough to prepare blocks while one is ranked."""
    cores = usable_cores()
    on_cuda = plan.asked.device == Device.CUDA.value
    return min(cores, _THREADS_ON_CUDA) if on_cuda else cores
