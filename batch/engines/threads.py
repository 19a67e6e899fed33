"""Run shards on the threads of this process.

Each block of users runs in its own thread through one session of one thread. On two cores that
was 1.7 times as fast as one session of two threads, whose operators are too small to split.
"""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from itertools import islice

from batch.plans import Plan
from batch.receipts import Receipt
from batch.sessions import Session
from ncf.devices import Device, usable_cores

_SHARDS_AT_ONCE = 2  # one is scored while the other is written
_THREADS_ON_CUDA = 4  # each thread holds a block's hidden layers


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


def _threads(plan: Plan) -> int:
    """Count the threads that score: on a GPU, enough to prepare blocks while one is ranked."""
    cores = usable_cores()
    return min(cores, threads_a_task(plan)) if on_cuda(plan) else cores


def threads_a_task(plan: Plan, asked: int = 0) -> int:
    """Count the threads of a task on a cluster: one, as tasks use the cores, or what a GPU needs.

    Parameters
    ----------
    plan : Plan
        Names the device.
    asked : int
        Threads that were asked for; 0 leaves it to the device.
    """
    return asked or (_THREADS_ON_CUDA if on_cuda(plan) else 1)


def on_cuda(plan: Plan) -> bool:
    """Whether a plan ranks on a GPU."""
    return plan.asked.device == Device.CUDA.value
