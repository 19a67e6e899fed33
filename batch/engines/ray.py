"""Run shards as tasks of a Ray cluster, or of one that Ray starts on this machine.

Plain tasks: a process that makes a shard keeps the plan open for the next one. Nothing but the
plan and receipts goes through Ray; a bundle is on a disk that nodes share, or behind a URI.
"""

import logging
import os
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from batch.engines.dispatching import Dispatch
from batch.engines.engine import Cluster
from batch.engines.errands import Errand, receipt_of, run_errand
from batch.engines.threads import on_cuda, threads_a_task
from batch.plans import Plan
from batch.receipts import Receipt
from ncf.devices import usable_cores
from ncf.errors import CapabilityError, NcfError, UnreachableError, UsageError

_RETRIES = 3  # of a task whose node or process died; errors of ours come back as data
# Ray cannot tell a frozen node from a slow one, and waits for it for good (ray#63405), unless
# connections are probed and the node's health is asked for more often.
SETTINGS = {
    "grpc_keepalive_time_ms": 3000,
    "grpc_keepalive_timeout_ms": 3000,
    "grpc_client_keepalive_time_ms": 3000,
    "grpc_client_keepalive_timeout_ms": 3000,
    "health_check_initial_delay_ms": 3000,
    "health_check_period_ms": 3000,
    "health_check_timeout_ms": 3000,
    "health_check_failure_threshold": 3,
}
"""Settings of Ray for clusters that may lose nodes, in ms but for the last."""
_KEEPALIVE = [name for name in SETTINGS if "keepalive" in name]
_ADDRESS = re.compile(r"[^\s:/]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
_LONGEST_FOLDER = 30  # Ray's sockets, whose paths are limited to some 100 characters, lie below
_STORE = 100 << 20  # bytes; nothing of ours goes through Ray's object store


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
        self._ray: Any = None
        self._folder = ""

    def run(self, plan: Plan, shards: Iterable[int]) -> Iterator[Receipt]:
        """Finish every shard, and yield its receipt; the order is any.

        Raises
        ------
        UnreachableError
            The cluster cannot be reached, lost what a task needs, or gave no receipt for too long.
        CapabilityError
            The cluster's versions of Python or Ray are others.
        """
        if self._ray is None:
            self._connect()
        threads = threads_a_task(plan, self._cluster.workers)
        needs = {"CPU": threads, **({"GPU": 1} if on_cuda(plan) else {})}
        need = " and ".join(f"{count} {name}{'s' * (count > 1)}" for name, count in needs.items())
        errand = Errand(plan.content(), self._cluster.out, threads)
        tasks = _Tasks(self._ray, errand, needs)
        return Dispatch(tasks, self._cluster.patience, need).run(shards)

    def close(self) -> None:
        """Leave the cluster; one of its own ends."""
        if self._ray is not None:
            self._ray.shutdown()
            self._ray = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _connect(self) -> None:
        self._ray, address = _imported(), self._cluster.address
        where = f"Ray at {address}" if address else "a Ray cluster of its own"
        try:
            with _own_signals():
                if address:
                    self._ray.init(address=address, **_QUIET)
                else:
                    self._ray.init(**self._own(), **_QUIET)
        except (ConnectionError, TimeoutError, ValueError) as error:
            raise UnreachableError(f"cannot reach {where} ({_line(error)})") from error
        except RuntimeError as error:
            raise CapabilityError(
                f"cannot work with {where} ({_line(error)})",
                remedy="use the versions of Python and Ray that the cluster has",
            ) from error

    def _own(self) -> dict[str, Any]:
        """Say how to start a cluster on this machine, which listens on loopback alone."""
        folder = tempfile.mkdtemp(prefix="ncf-ray-")
        if len(folder) <= _LONGEST_FOLDER:
            self._folder = folder
        else:
            shutil.rmtree(folder)
        return {
            "address": "local",
            "num_cpus": usable_cores(),
            "include_dashboard": False,
            "object_store_memory": _STORE,
            "_node_ip_address": "127.0.0.1",
            "_system_config": dict(SETTINGS),
            "_temp_dir": self._folder or None,
        }


@dataclass(frozen=True)
class _Tasks:
    """Tasks of Ray."""

    ray: Any
    errand: Errand
    needs: dict[str, int]

    def slots(self) -> int:
        nodes = [each["Resources"] for each in self.ray.nodes() if each["Alive"]]
        return sum(
            min(int(has.get(name, 0) // count) for name, count in self.needs.items())
            for has in nodes
        )

    def submit(self, shard: int) -> Any:  # noqa: ANN401 - Ray has no types
        task = self.ray.remote(run_errand).options(
            num_cpus=self.needs["CPU"],
            num_gpus=self.needs.get("GPU", 0),
            max_retries=_RETRIES,
            retry_exceptions=False,
            name="ncf batch",
        )
        return task.remote(self.errand, shard)

    def wait(self, running: Sequence[Any], seconds: float) -> Sequence[Any]:
        done: Sequence[Any] = self.ray.wait(list(running), timeout=seconds)[0]
        return done

    def receipt(self, handle: Any) -> Receipt:  # noqa: ANN401 - Ray has no types
        try:
            answer = self.ray.get(handle)
        except self.ray.exceptions.RayTaskError as error:
            raise _cause(error) from error
        except self.ray.exceptions.RayError as error:
            raise UnreachableError(
                f"a node or process of the cluster died {_RETRIES + 1} times ({_line(error)})",
                remedy="look at the logs of the nodes; finished parts are kept, and the same "
                "command continues",
            ) from error
        return receipt_of(answer)


def _cause(error: Any) -> Exception:  # noqa: ANN401 - Ray has no types
    """Find what went wrong on a node."""
    cause = error.cause
    if isinstance(cause, ModuleNotFoundError):
        return CapabilityError(
            f"a node of the cluster lacks a package ({cause})",
            remedy="install ncf on all nodes, in the version that is used here",
        )
    return cause if isinstance(cause, NcfError | OSError) else error


_QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}


def _imported() -> Any:  # noqa: ANN401 - Ray has no types
    """Import Ray where it is used, with settings that it reads from the environment then."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray prints what befalls nodes on standard output, where our figures go.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    for name in _KEEPALIVE:
        os.environ.setdefault(f"RAY_{name}", str(SETTINGS[name]))
    import ray  # noqa: PLC0415 - nobody else needs it

    return ray


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep our handlers of signals, as Ray replaces them by one that exits with another code."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
