"""Make parts as tasks of a Ray cluster, or of one that Ray starts on this machine.

Plain tasks: a process on a node that made a shard keeps the plan open for the next one. Nothing but
the plan and receipts goes through Ray; the bundle is on a disk that nodes share, or behind a URI.
"""

import logging
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import psutil

from batch.engines.dispatching import Dispatch
from batch.engines.errands import Errand, error_of, receipt_of, run_errand
from batch.engines.threads import on_cuda, threads_a_task
from batch.plans import PLAN_FILE, read_plan
from batch.receipts import Receipt
from ncf.devices import usable_cores
from ncf.errors import CapabilityError, UnreachableError

Answer: TypeAlias = Callable[[dict[str, Any]], None]
"""Sends an answer to the process that asks."""

_RETRIES = 3  # of a task whose node or process died; errors of ours come back as data
# Ray cannot tell a frozen node from a slow one, and may wait for it for good (ray#63405), unless
# connections are probed and the nodes' health is asked for more often.
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
_LONGEST_FOLDER = 20  # Ray's sockets, whose paths are limited to some 100 characters, lie below
_LAST_SECONDS = 5.0  # for processes of a cluster of our own to end
_LISTEN, _CONNECT = 10.0, 90.0  # seconds for a head to accept a connection, and to answer
_STORE = 100 << 20  # bytes; nothing of ours goes through Ray's object store


class Fault(Exception):  # noqa: N818 - of whatever class it was on the node
    """A fault of ours on a node."""


class Left(Exception):  # noqa: N818 - not an error
    """Nobody waits for receipts any more."""


class Connection:
    """A connection to a cluster, or a cluster of its own."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._ray: Any = None
        self._folder = ""

    def run(self, request: dict[str, Any], left: threading.Event) -> Iterator[Receipt]:
        """Make the parts of a plan that a request names."""
        content = request["plan"].encode()
        plan = read_plan(content, PLAN_FILE)
        threads = threads_a_task(plan, request["workers"])
        if self._ray is None:
            self._connect(request["address"], threads, left)
        needs = {"CPU": threads, **({"GPU": 1} if on_cuda(plan) else {})}
        need = " and ".join(f"{count} {name}{'s' * (count > 1)}" for name, count in needs.items())
        tasks = _Tasks(self._ray, Errand(content, request["out"], threads), needs, left)
        return Dispatch(tasks, request["patience"], need).run(request["shards"])

    def close(self) -> None:
        """Leave, and see that no process of a cluster of its own stays."""
        started = psutil.Process().children(recursive=True)
        if self._ray is not None:
            self._ray.shutdown()
        _, alive = psutil.wait_procs(started, timeout=_LAST_SECONDS)
        for process in alive:
            process.kill()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _connect(self, address: str, threads: int, left: threading.Event) -> None:
        if not address:  # a cluster that no other machine joins, which listens on loopback alone
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        import ray  # noqa: PLC0415 - nobody else needs it

        where = f"Ray at {address}" if address else "a Ray cluster of its own"
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        connected = threading.Event()
        try:
            if address:
                _require_listener(address)
                watch = partial(self._watch, where, connected, left)
                threading.Thread(target=watch, daemon=True).start()
            if left.is_set():
                raise Left
            self._ray = ray
            ray.init(**({"address": address} if address else self._own(threads)), **quiet)
        except (OSError, ValueError) as error:
            raise UnreachableError(f"cannot reach {where} ({_line(error)})") from error
        except RuntimeError as error:
            raise CapabilityError(
                f"cannot work with {where} ({_line(error)})",
                remedy="run on a node of the cluster, with its versions of Python and Ray",
            ) from error
        finally:
            connected.set()

    def _watch(self, where: str, connected: threading.Event, left: threading.Event) -> None:
        """End this process if Ray waits for an answer for good, or nobody waits for ours."""
        until = time.monotonic() + _CONNECT
        while not connected.wait(0.2):
            if time.monotonic() >= until:
                error = UnreachableError(f"{where} has not answered for {_CONNECT:.0f} s")
                self._answer(error_of(error))
                self._answer({"end": True})
            elif not left.is_set():
                continue
            os._exit(1)

    def _own(self, threads: int) -> dict[str, Any]:
        """Say how to start a cluster on this machine, which can run a task."""
        above = tempfile.gettempdir()
        short = len(above) <= _LONGEST_FOLDER or os.name == "nt"
        self._folder = tempfile.mkdtemp(prefix="ncf-ray-", dir=above if short else "/tmp")  # noqa: S108 - mode 0700
        return {
            "address": "local",
            "num_cpus": max(usable_cores(), threads),
            "include_dashboard": False,
            "object_store_memory": _STORE,
            "_node_ip_address": "127.0.0.1",
            "_system_config": dict(SETTINGS),
            "_temp_dir": self._folder,
        }


@dataclass(frozen=True)
class _Tasks:
    """Tasks of Ray."""

    ray: Any
    errand: Errand
    needs: dict[str, int]
    left: threading.Event

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
        if self.left.is_set():
            raise Left
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


def _require_listener(address: str) -> None:
    """Find out at once whether anybody listens: Ray would try for many minutes."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), _LISTEN):
        pass


def _cause(error: Any) -> Exception:  # noqa: ANN401 - Ray has no types
    """Find what went wrong on a node."""
    cause = error.cause
    if isinstance(cause, ModuleNotFoundError):
        return CapabilityError(
            f"a node of the cluster lacks a package ({cause})",
            remedy="install ncf on all nodes, in the version that is used here",
        )
    return Fault(str(error))


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
