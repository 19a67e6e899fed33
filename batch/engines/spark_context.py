"""Open a Spark application, or take the one that runs here."""

import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from batch.engines.spark_java import java_machine, own_signals, require_java
from ncf.devices import usable_cores
from ncf.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from pyspark import SparkConf, SparkContext

_SECONDS_TO_CONNECT = 10
_SUBMITTED = "PYSPARK_GATEWAY_PORT"  # spark-submit sets it for the Python that it starts

# Ours unless spark-defaults.conf or spark-submit say otherwise.
_SETTINGS = {
    "spark.app.name": "ncf batch",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.task.maxFailures": "4",  # of the machinery: an error of ours is no failure
    "spark.speculation": "true",  # a task that takes long is started once more elsewhere
    "spark.python.worker.reuse": "true",  # a worker keeps its session
    # An executor that says nothing for so long is lost, frozen or not; Spark waits for 120 s.
    "spark.network.timeout": "60s",
    "spark.executor.heartbeatInterval": "10s",
}
_LOOPBACK = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}


@contextmanager
def spark_context(address: str, threads: int) -> "Iterator[SparkContext]":
    """Give an application: the one that runs here, that of spark-submit, or one of our own.

    Parameters
    ----------
    address : str
        Master, such as ``spark://host:7077``; empty for all cores of this machine.
    threads : int
        Cores of a task.

    Raises
    ------
    CapabilityError
        There is no Java that Spark runs on.
    UsageError
        The address is none, or the application that is there has another one.
    UnreachableError
        Nobody answers at the address.
    """
    with _without_advice():
        from pyspark import SparkContext
        from pyspark.java_gateway import launch_gateway

    logging.getLogger("py4j").setLevel(logging.ERROR)  # it tells of each connection that it closes
    there = SparkContext._active_spark_context  # getOrCreate would start one
    if there is not None:
        _require_same(address, there.master)
        yield there
        return
    if _SUBMITTED in os.environ:
        context = _started(address, threads, launch_gateway())
        try:
            yield context
        finally:
            context.stop()
        return
    require_spark(address)
    address = address or f"local[{max(1, usable_cores() // threads) * threads}]"
    with java_machine() as gateway:
        yield _started(address, threads, gateway)


def _started(address: str, threads: int, gateway: Any) -> "SparkContext":  # noqa: ANN401 - of py4j
    """Start an application on a Java that runs; what it was given by others goes before ours."""
    from py4j.protocol import Py4JJavaError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkRuntimeError

    SparkContext._ensure_initialized(gateway=gateway)  # so that SparkConf reads it
    with _without_advice():
        conf = SparkConf()
    if _SUBMITTED in os.environ and conf.contains("spark.master"):
        _require_same(address, conf.get("spark.master") or "")
        address = ""
    if address:
        conf.setMaster(_tried_again(address))
    local = (conf.get("spark.master") or "").startswith("local")
    for name, value in {**_SETTINGS, **(_LOOPBACK if local else {})}.items():
        conf.setIfMissing(name, value)
    conf.setIfMissing("spark.task.cpus", str(threads))
    try:
        with _python(conf), own_signals(), _without_advice():
            return SparkContext(conf=conf)
    except (Py4JJavaError, PySparkRuntimeError) as error:
        said = str(getattr(error, "java_exception", error)).partition("\n")[0]
        if local:  # nothing is out of reach
            raise UsageError(
                f"Spark did not start ({said})",
                where=address or None,
                remedy="give a master that has the cores of a task (`workers`)",
            ) from error
        raise UnreachableError(f"Spark did not start ({said})", where=address or None) from error


@contextmanager
def _without_advice() -> Iterator[None]:
    """Leave out what PySpark says of the version of pandas, which it is not used with here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


@contextmanager
def _python(conf: "SparkConf") -> Iterator[None]:
    """Let executors run the Python that runs here, unless somebody has named another one."""
    named = "PYSPARK_PYTHON" in os.environ or conf.contains("spark.pyspark.python")
    if not named:
        os.environ["PYSPARK_PYTHON"] = sys.executable
    try:
        yield
    finally:
        if not named:
            del os.environ["PYSPARK_PYTHON"]


def _require_same(address: str, master: str) -> None:
    if address and address != master:
        raise UsageError(
            f"`address` {address}: a Spark application runs here already, at {master}",
            remedy="leave it out, or stop that application",
        )


def require_spark(address: str) -> None:
    """Refuse to begin if an application could not start; quick, and starts nothing.

    Raises
    ------
    CapabilityError
        There is no Java that Spark runs on.
    UsageError
        The address is none.
    UnreachableError
        Nobody answers at the address.
    """
    from pyspark import SparkContext

    if _SUBMITTED in os.environ or SparkContext._active_spark_context is not None:
        return
    if address:
        _require_master(address)
    require_java()


def _require_master(address: str) -> None:
    """Refuse what is no master, and find out at once whether one of spark://A:1,B:2 listens."""
    if address.startswith(("sc://", "http:", "https:")):
        raise UsageError(
            f"`address` {address} is that of Spark Connect, which has no tasks of our own",
            remedy="give the master, such as spark://host:7077",
        )
    if address in ("yarn", "local") or address.startswith(("local[", "local-cluster[", "k8s://")):
        return
    if not address.startswith("spark://"):
        raise UsageError(
            f"`address` {address} is no master of Spark",
            remedy="give spark://host:7077, yarn, k8s://HOST:PORT, or none for this machine",
        )
    for each in (names := address.removeprefix("spark://").split(",")):
        host, _, port = each.rpartition(":")
        if not host or not port.isdecimal():
            raise UsageError(f"`address` {address} has no port", remedy="give spark://host:7077")
        # A name that cannot be one is a UnicodeError.
        with (
            suppress(OSError, UnicodeError),
            socket.create_connection((host, int(port)), _SECONDS_TO_CONNECT),
        ):
            return
    raise UnreachableError(f"no master of Spark answers at {' or '.join(names)}")


def _tried_again(address: str) -> str:
    """Let a local master try a task again, as a cluster does: ``local[2]`` would not."""
    inner = address.removeprefix("local[").removesuffix("]")
    if address == "local":
        inner = "1"
    elif not address.startswith("local[") or "," in inner:
        return address
    return f"local[{inner},{_SETTINGS['spark.task.maxFailures']}]"
