"""Run shards as tasks of a Ray cluster, or of one that Ray starts on this machine.

Ray lives in a process of its own (:mod:`batch.engines.ray_driver`), with which this one speaks in
lines of JSON: Ray puts its own handlers over ours of signals, prints where our figures go, and ends
its process when it loses the head of the cluster.
"""

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

import psutil

from batch.engines.engine import Cluster
from batch.engines.errands import receipt_of
from batch.plans import Plan
from batch.receipts import Receipt
from ncf.errors import UnreachableError, UsageError

logger = logging.getLogger(__name__)

_ADDRESS = re.compile(r"[^\s:/]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
_LAST_SECONDS = 30.0  # for Ray to start, if it is starting, and to stop
_PROGRAM = (
    "from ncf.packages import find_own_first; find_own_first(); "
    "from batch.engines.ray_driver import main; main()"
)


def require_address(address: str) -> None:
    """Refuse what is no address of a Ray cluster.

    Raises
    ------
    UsageError
        It is not HOST:PORT.
    """
    if not address or _ADDRESS.fullmatch(address):
        return
    remedy = "give HOST:PORT of the head, such as ray-head:6379, on a node of the cluster"
    if address.startswith("ray://"):
        raise UsageError(
            f"`address` {address} is one of Ray Client, which cannot be used here",
            remedy=f"{remedy} (or in 'ray job submit')",
        )
    raise UsageError(f"`address` {address!r} is no address of a Ray cluster", remedy=remedy)


@contextmanager
def opened(cluster: Cluster) -> Iterator["Ray"]:
    """Give an engine that connects when it first runs, until the block ends."""
    engine = Ray(cluster)
    try:
        yield engine
    finally:
        engine.close()


class Ray:
    """Runs each shard as a task of Ray.

    Parameters
    ----------
    cluster : Cluster
        Where, with how many threads a task, and how long to wait.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._driver: _Driver | None = None

    def run(self, plan: Plan, shards: Iterable[int]) -> Iterator[Receipt]:
        """Finish every shard, and yield its receipt; the order is any.

        Raises
        ------
        UnreachableError
            The cluster cannot be reached, lost what a task needs, or gave no receipt for too long.
        CapabilityError
            The cluster's versions of Python or Ray are others.
        """
        if self._driver is None:
            self._driver = _Driver.start()
        wanted = {**vars(self._cluster), "plan": plan.content().decode(), "shards": list(shards)}
        for answer in self._driver.asked(wanted):
            if "log" in answer:
                logger.warning("%s", answer["log"])
            else:
                yield receipt_of(answer)

    def close(self) -> None:
        """Leave the cluster; one of its own ends."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.leave()


@dataclass(frozen=True)
class _Driver:
    """The process that speaks with Ray."""

    process: "subprocess.Popen[str]"
    questions: IO[str]
    answers: IO[str]
    said: IO[str]

    @classmethod
    def start(cls) -> "_Driver":
        said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - see leave
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            encoding="utf-8",
            start_new_session=os.name != "nt",  # Ctrl-C is for us alone
        )
        if process.stdin is None or process.stdout is None:
            raise TypeError("both are pipes")
        return cls(process, process.stdin, process.stdout, said)

    def asked(self, wanted: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Ask, and yield the answers."""
        with suppress(BrokenPipeError):  # it has ended, which is seen below
            self.questions.write(f"{json.dumps(wanted)}\n")
            self.questions.flush()
        for line in self.answers:
            answer: dict[str, Any] = json.loads(line)
            if "end" in answer:
                return
            yield answer
        raise UnreachableError(
            f"Ray ended with the cluster ({self._last_words()})",
            remedy="look at the head and its logs; finished parts are kept, and the same command "
            "continues",
        )

    def leave(self) -> None:
        """Let it leave the cluster, and see that no process of it stays."""
        try:
            with suppress(BrokenPipeError):
                self.questions.close()  # it leaves when nobody asks it any more
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_LAST_SECONDS)
        finally:
            with suppress(psutil.Error):
                for each in psutil.Process(self.process.pid).children(recursive=True):
                    each.kill()
            self.process.kill()
            self.process.wait()
            self.answers.close()
            self.said.close()

    def _last_words(self) -> str:
        """Find what Ray said last of a failure, in one line."""
        code = self.process.wait()
        self.said.seek(0)
        lines = [line for line in self.said.read().splitlines() if line.strip()]
        grave = [line for line in lines if re.search(r" [CF] \d+ \d+\]|Error\b", line)]
        return f"exit code {code}: {(grave or lines or ['it said nothing'])[-1][:300]}"
