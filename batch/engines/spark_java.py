"""Run a Java for Spark, and leave no process of it behind."""

import logging
import os
import shutil
import signal
import subprocess
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ncf.errors import CapabilityError

logger = logging.getLogger(__name__)

_OLDEST = 17
_SECONDS_TO_END = 20
_JAVA = "install Java 17 or 21 (apt install openjdk-17-jre-headless), and set JAVA_HOME to it"


def require_java() -> None:
    """Find the Java that spark-submit will find, and ask for its version."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    said = ""
    with suppress(OSError, subprocess.TimeoutExpired):
        if java is not None:
            words = [java, "-version"]
            ended = subprocess.run(  # noqa: S603 - no shell
                words, capture_output=True, text=True, check=False, timeout=60
            )
            said = ended.stderr
    version = next((line for line in said.splitlines() if ' version "' in line), "")
    number = version.partition(' version "')[2].partition(".")[0].strip('"')
    if not number.isdecimal():
        where = f"{home} is no Java" if home else "there is no Java"
        raise CapabilityError(f'`engine="spark"`: {where}', remedy=_JAVA)
    if int(number) < _OLDEST:
        raise CapabilityError(f'`engine="spark"`: Java {number} is too old', remedy=_JAVA)


@contextmanager
def java_machine() -> Iterator[Any]:
    """Run a Java of our own, which is gone at the end, however that comes."""
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway

    reading, writing = os.pipe()
    said = _Said(os.fdopen(reading, encoding="utf-8", errors="replace"))
    try:
        with os.fdopen(writing, "wb") as stderr, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                gateway = launch_gateway(popen_kwargs={"stderr": stderr, "stdout": stderr})
            except BaseException as error:
                traceback.clear_frames(error.__traceback__)  # one holds the pipe that Java ends by
                raise
        yield gateway
    except PySparkRuntimeError as error:
        said.wait(_SECONDS_TO_END)
        raise CapabilityError(f"Java did not start Spark ({said.last()})", remedy=_JAVA) from error
    finally:
        said.hush()
        _end()
        if not said.wait(_SECONDS_TO_END):
            logger.warning("Java has not ended after %d s", _SECONDS_TO_END)


def _end() -> None:
    """Stop the application and its Java, and let the next one start afresh."""
    from py4j.protocol import Py4JError
    from pyspark import SparkContext

    context, gateway = SparkContext._active_spark_context, SparkContext._gateway
    with suppress(Py4JError, OSError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may have gone before
        if context is not None:
            context.stop()
    SparkContext._gateway = SparkContext._jvm = None
    if gateway is None:
        return
    with suppress(Py4JError, OSError):
        gateway.shutdown()
    if gateway.proc is not None:
        with suppress(OSError):
            gateway.proc.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            gateway.proc.wait(_SECONDS_TO_END)
            return
        gateway.proc.kill()


class _Said:
    """Logs the errors of a process, line by line, until all who could write are gone.

    Parameters
    ----------
    stream : file object
        Its standard error.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._lines = stream, deque[str](maxlen=20)
        self._hushed = False
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        with self._stream:
            for line in self._stream:
                self._lines.append(line.strip())
                if " ERROR " in line and not self._hushed:
                    logger.warning("Spark: %s", line.partition(" ERROR ")[2].strip())

    def hush(self) -> None:
        """Log nothing any more: what ends says a lot."""
        self._hushed = True

    def last(self) -> str:
        """Give the last lines that say something, as one."""
        return " / ".join([line for line in self._lines if line][-3:]) or "it said nothing"

    def wait(self, seconds: float) -> bool:
        """Wait until the process is gone, with all who hold its standard error."""
        self._thread.join(seconds)
        return not self._thread.is_alive()


@contextmanager
def own_signals() -> Iterator[None]:
    """Put our handlers back, which Spark replaces."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: Mapping[signal.Signals, Any] = {each: signal.getsignal(each) for each in numbers}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:  # as of a program that runs Python within itself
                    signal.signal(number, handler)
