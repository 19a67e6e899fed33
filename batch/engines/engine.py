"""Say what an engine is, and watch one while it works."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from batch.plans import Plan
from batch.receipts import Receipt
from ncf.errors import InterruptedWorkError
from ncf.progress import report


class Engine(Protocol):
    """Runs shards of a plan somewhere."""

    def run(self, plan: Plan, shards: Iterable[int]) -> Iterator[Receipt]:
        """Finish every shard, and yield its receipt; the order is any."""


@dataclass(frozen=True)
class Cluster:
    """What a cluster's engine must know, whatever the plan.

    Parameters
    ----------
    out : str
        Folder of all runs, absolute, or a URI.
    address : str
        Address of the cluster; empty for one of its own on this machine.
    workers : int
        Threads of a task; 0 takes one, or what a GPU needs.
    patience : float
        Seconds without a receipt after which the engine gives up.
    """

    out: str
    address: str = ""
    workers: int = 0
    patience: float = 1800.0


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
