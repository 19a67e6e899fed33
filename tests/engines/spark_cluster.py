"""A Spark cluster of its own on loopback: a master, and workers of one core each."""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.engines.processes import ENGINES, Command, running

BIN = ENGINES / "spark" / "bin"
NCF, PYTHON, SUBMIT = BIN / "ncf", BIN / "python", BIN / "spark-submit"
_CLASS = "org.apache.spark.deploy"


@dataclass(frozen=True)
class SparkCluster:
    """A cluster that runs.

    Parameters
    ----------
    address : str
        Its master.
    workers : tuple of Command
        Its workers; their executors are processes of theirs.
    """

    address: str
    workers: tuple[Command, ...]

    def executor(self, number: int) -> list[psutil.Process]:
        """Find the processes of a worker's executor: Java, and the Pythons under it."""
        found = [each for each in self.workers[number].processes() if _is_of_executor(each)]
        assert found
        return found


def _is_of_executor(process: psutil.Process) -> bool:
    words = " ".join(process.cmdline())
    return "CoarseGrainedExecutorBackend" in words or "pyspark.daemon" in words


@contextmanager
def spark_cluster(
    folder: Path, env: Mapping[str, str] | None = None, workers: int = 2
) -> Iterator[SparkCluster]:
    """Start a cluster, whose every listener is on loopback."""
    port = _free_port()
    address = f"spark://127.0.0.1:{port}"
    env = {
        "PATH": f"{BIN}:{os.environ['PATH']}",  # its scripts look for a Python that has PySpark
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_PUBLIC_DNS": "127.0.0.1",
        "SPARK_WORKER_DIR": str(folder / "spark-work"),
        "SPARK_DAEMON_MEMORY": "256m",
        **(env or {}),
    }
    words = (BIN / "spark-class",)
    with ExitStack() as stack:
        at = ("--host", "127.0.0.1", "--port", port, "--webui-port", "0")
        master = (f"{_CLASS}.master.Master", *at)
        command = stack.enter_context(running(*words, *master, cwd=folder, **env))
        _wait_for_port(port, command)
        started = []
        for host in (f"127.0.0.{1 + number}" for number in range(workers)):
            # Each is a host of its own: Spark never speculates on the host that is slow.
            own = ("--host", host, "--webui-port", "0", "--cores", "1", "--memory", "1g")
            worker = (f"{_CLASS}.worker.Worker", *own, address)
            here = {**env, "SPARK_LOCAL_IP": host, "SPARK_PUBLIC_DNS": host}
            started.append(stack.enter_context(running(*words, *worker, cwd=folder, **here)))
        yield SparkCluster(address, tuple(started))


def local_ip() -> dict[str, str]:
    """Keep a driver on loopback."""
    return {"SPARK_LOCAL_IP": "127.0.0.1"}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for_port(port: int, command: Command) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert command.runs(), command.ended()
        time.sleep(0.1)
    raise AssertionError("the master does not listen")


def without_java(folder: Path) -> str:
    """Make a PATH with what Spark's scripts need, but no Java."""
    folder.mkdir()
    for name in ("bash", "dirname", "uname", "env", "sh"):
        for place in os.environ["PATH"].split(":"):
            if (found := Path(place, name)).exists():
                (folder / name).symlink_to(found)
                break
    return str(folder)
