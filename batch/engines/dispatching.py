"""Hand shards to a cluster that may lose nodes: a few at a time, late ones twice, never forever.

A task on a node that froze may neither end nor fail. So a shard that takes much longer than any
other is given out a second time, and the first receipt of it counts: both are of the same bytes.
If no receipt comes for too long, or no node can run a task, the engine gives up; parts that are
made are kept, and the same command goes on from them.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, Protocol, TypeVar

from batch.receipts import Receipt
from ncf.errors import UnreachableError

logger = logging.getLogger(__name__)

TICK = 1.0
"""Seconds of one wait for receipts."""
LOOK = 5.0
"""Seconds between looks at the nodes."""
NO_NODE = 120.0
"""Seconds that a cluster may be without a node for a task."""
LATE = 60.0
"""Seconds before which no shard is late."""
LATE_TIMES = 3.0
"""A shard is late after so many times the longest time that another took."""
_QUEUED = 2  # tasks for each that runs, so that a node need not wait for the next

Handle = TypeVar("Handle")


class Tasks(Protocol[Handle]):
    """The tasks of a cluster, as far as shards are handed out to them."""

    def slots(self) -> int:
        """Count the tasks that the nodes can run at once; 0 if no node can run one."""

    def submit(self, shard: int) -> Handle:
        """Give out a shard."""

    def wait(self, running: Sequence[Handle], seconds: float) -> Sequence[Handle]:
        """Wait until some have ended; none if the time is over."""

    def receipt(self, handle: Handle) -> Receipt:
        """Give the receipt of one that has ended, or raise what went wrong."""


@dataclass
class _Given:
    """A shard that is given out."""

    shard: int
    since: float
    copies: int = 1
    again: bool = False  # given out a second time, which happens once


@dataclass
class Dispatch(Generic[Handle]):
    """Hands out shards and collects receipts.

    Parameters
    ----------
    tasks : Tasks
        Where to.
    patience : float
        Seconds without a receipt after which it gives up.
    need : str
        What a task needs of a node, such as ``4 CPUs``, for messages.
    clock : callable
        Seconds that only grow.
    """

    tasks: Tasks[Handle]
    patience: float
    need: str
    clock: Callable[[], float] = time.monotonic
    _running: dict[Handle, _Given] = field(default_factory=dict)
    _slots: int = 0
    _looked: float = 0.0
    _received: float = 0.0  # when the last receipt came
    _ready: float = 0.0  # when a node was there last
    _longest: float = 0.0  # seconds from giving out a shard to its receipt

    def run(self, shards: Iterable[int]) -> Iterator[Receipt]:
        """Finish every shard, and yield its receipt; the order is any.

        Raises
        ------
        UnreachableError
            No node can run a task, or no receipt came for too long.
        """
        left, total, done = iter(shards), 0, 0
        self._received = self._ready = self.clock()
        self._look()
        while True:
            room = max(1, _QUEUED * self._slots) - len(self._running)
            for shard in islice(left, max(0, room)):
                self._give(_Given(shard, self.clock()))
                total += 1
            if not self._running:
                return
            for handle in self.tasks.wait(list(self._running), min(TICK, self.patience)):
                given = self._running.pop(handle, None)
                receipt = None if given is None else self._receipt(handle, given)
                if receipt is not None:
                    done += 1
                    yield receipt
            self._look()
            self._check(total - done)
            self._give_again()

    def _give(self, given: _Given) -> None:
        self._running[self.tasks.submit(given.shard)] = given

    def _receipt(self, handle: Handle, given: _Given) -> Receipt | None:
        """Read a receipt, and forget other copies of its shard; None if another copy may come."""
        try:
            receipt = self.tasks.receipt(handle)
        except UnreachableError as error:
            given.copies -= 1
            if not given.copies:
                raise
            logger.warning("shard %s is tried elsewhere: %s", given.shard, error)
            return None
        for other in [each for each, its in self._running.items() if its is given]:
            del self._running[other]
        self._received = self.clock()
        self._longest = max(self._longest, self._received - given.since)
        return receipt

    def _look(self) -> None:
        """Count what the nodes can do, now and then."""
        now = self.clock()
        if not self._looked or now - self._looked >= LOOK:
            had, self._slots, self._looked = self._slots, self.tasks.slots(), now
            if had and not self._slots:
                logger.warning("no node of the cluster has %s any more", self.need)
        if self._slots:
            self._ready = now

    def _check(self, out: int) -> None:
        """Give up if it takes too long.

        Raises
        ------
        UnreachableError
            It does.
        """
        now = self.clock()
        if now - self._ready >= (wait := min(NO_NODE, self.patience)):
            raise UnreachableError(
                f"no node of the cluster has had {self.need} for {wait:.0f} s",
                remedy="look at 'ray status', start nodes, or ask for fewer threads a task with "
                "`workers`; finished parts are kept, and the same command continues",
            )
        if now - self._received >= self.patience:
            raise UnreachableError(
                f"no receipt came for {self.patience:g} s, and {out} parts are being made",
                remedy="look at 'ray status' and at the logs of the nodes; if parts take so long, "
                "give fewer users a part with `shard_users`, or more `patience`; finished parts "
                "are kept, and the same command continues",
            )

    def _give_again(self) -> None:
        """Give out once more what is late, if any other shard has ended."""
        if not self._longest or not self._slots:
            return
        late = self.clock() - max(LATE, LATE_TIMES * self._longest)
        for given in [each for each in self._running.values() if each.since < late]:
            if not given.again:
                given.copies, given.again = given.copies + 1, True
                logger.warning("shard %s is late: it is given out once more", given.shard)
                self._give(given)
