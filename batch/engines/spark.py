"""Run shards as tasks of Spark: a job whose tasks send each receipt home as soon as they end.

A task opens the plan once in its Python worker, which Spark keeps for the next task. Receipts come
back through an accumulator, since an action gives its results only at its end. Speculation is
safe, as a part that is made twice has the same bytes; Spark counts a task's updates once.
"""

import gc
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from batch.engines.engine import Cluster
from batch.engines.errands import Errand, receipt_of, run_errand
from batch.engines.spark_context import spark_context
from batch.engines.threads import threads_a_task
from batch.plans import Plan
from batch.receipts import Receipt
from ncf.errors import CapabilityError, UnreachableError

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.accumulators import Accumulator

_MOST_TASKS = 10_000  # the driver keeps something of each; more shards share a task
_WAIT = 0.1  # seconds between two looks at what came
_FOR_EXECUTORS = 120.0  # seconds for the first one; queues of YARN and Kubernetes take a while
_KEPT = "finished parts are kept, and the same command continues from them"
_ALIEN = ("ModuleNotFoundError", "ImportError", "PYTHON_VERSION_MISMATCH")

Answer = dict[str, Any]


class Spark:
    """Runs shards as tasks of a Spark application.

    Parameters
    ----------
    cluster : Cluster
        Where to run, and with how many threads a task.
    opened : callable
        Opens the application with so many cores a task; called when it is first needed.
    """

    def __init__(self, cluster: Cluster, opened: "Callable[[int], SparkContext]") -> None:
        self._cluster = cluster
        self._opened = opened
        self._context: SparkContext | None = None

    def run(self, plan: Plan, shards: Iterable[int]) -> Iterator[Receipt]:
        """Finish every shard; whoever stops early cancels the job.

        Raises
        ------
        NcfError
            A part could not be made; the class is that of the error on the node.
        CapabilityError
            The Python of a node cannot make parts.
        UnreachableError
            Spark cannot be reached, gave a task up, or made no part for too long.
        """
        numbers, threads = list(shards), threads_a_task(plan, self._cluster.workers)
        if not numbers:
            return
        if self._context is None:
            self._context = self._opened(threads)
        errand = Errand(plan.content(), self._cluster.out, threads)
        job, done = _Job(self._context, errand, numbers), set[int]()
        try:
            for answer in self._answers(job):
                receipt = receipt_of(answer)
                if receipt.shard not in done:  # a stage that is tried again counts twice
                    done.add(receipt.shard)
                    yield receipt
        finally:
            job.cancel()

    def _answers(self, job: "_Job") -> Iterator[Answer]:
        """Yield what tasks send home until the job ends."""
        came, begun = time.monotonic(), time.monotonic()
        while True:
            running = job.is_running()  # before the look, so that the last ones are seen
            for answer in job.new():
                came = time.monotonic()
                yield answer
            if not running:
                job.raise_failure()
                return
            now = time.monotonic()
            if now - begun > min(_FOR_EXECUTORS, self._cluster.patience) and not job.has_nodes():
                raise UnreachableError(
                    f"Spark at {job.master} has given no executor for {now - begun:.0f} s",
                    remedy=f"start workers with enough free cores; {_KEPT}",
                )
            if now - came > self._cluster.patience:
                raise UnreachableError(
                    f"Spark at {job.master} has made no part for {now - came:.0f} s",
                    remedy=f"look at its executors, or give more `patience`; {_KEPT}",
                )
            job.wait(_WAIT)


class _Job:
    """A job that runs beside this thread.

    Parameters
    ----------
    context : SparkContext
        The application.
    errand : Errand
        What a task needs.
    shards : list of int
        The shards to make.
    """

    def __init__(self, context: "SparkContext", errand: Errand, shards: list[int]) -> None:
        from pyspark import InheritableThread
        from pyspark.accumulators import AddingAccumulatorParam

        self.master = context.master
        self._context, self._group = context, f"ncf-batch-{uuid.uuid4()}"
        self._came: Accumulator[list[Answer]] = context.accumulator([], AddingAccumulatorParam([]))
        self._seen, self._nodes = 0, False
        self._failure: Exception | None = None
        tasks = context.parallelize(shards, min(len(shards), _MOST_TASKS))
        self._work = partial(tasks.foreachPartition, partial(make_parts, errand, self._came))
        self._thread = InheritableThread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._context.setJobGroup(self._group, "ncf batch", interruptOnCancel=True)
            self._work()
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits
            self._failure = error

    def is_running(self) -> bool:
        alive: bool = self._thread.is_alive()
        return alive

    def wait(self, seconds: float) -> None:
        self._thread.join(seconds)

    def new(self) -> list[Answer]:
        """Take the answers that have come since."""
        found: list[Answer] = self._came.value[self._seen :]
        self._seen += len(found)
        return found

    def has_nodes(self) -> bool:
        """Whether an executor has ever been there; of a local master, the driver is one."""
        if not self._nodes:
            tracker = self._context._jsc.sc().statusTracker()  # not in Python
            least = 0 if self._context.master.startswith("local") else 1
            self._nodes = self._seen > 0 or len(tracker.getExecutorInfos()) > least
        return self._nodes

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise failure_of(self._failure, self.master)

    def cancel(self) -> None:
        """Cancel what still runs; a part that is being written may yet appear, whole."""
        from py4j.protocol import Py4JError

        if self._thread.is_alive():
            with suppress(Py4JError, OSError):  # the application may be gone
                self._context.cancelJobGroup(self._group)
            self._thread.join(5)


def make_parts(errand: Errand, came: "Accumulator[list[Answer]]", shards: Iterable[int]) -> None:
    """Make the parts of a task; this is what runs in a Python worker of an executor."""
    for shard in shards:
        came.add([run_errand(errand, shard)])
    if not gc.get_freeze_count():
        # PySpark collects garbage after every task, and would go through all modules each time.
        gc.freeze()


def failure_of(error: Exception, master: str) -> Exception:
    """Say in one line why Spark has given a job up; an error in our own code stays what it is."""
    from py4j.protocol import Py4JError, Py4JJavaError

    if not isinstance(error, Py4JJavaError):
        gone = isinstance(error, (Py4JError, OSError))
        return UnreachableError(f"Spark at {master} is gone", remedy=_KEPT) if gone else error
    said = str(error.java_exception.getMessage()).strip()
    if "Traceback (most recent call last)" in said:
        last = next((line for line in reversed(said.splitlines()) if _of_python(line)), "")
        if any(name in said for name in _ALIEN):
            return CapabilityError(
                f"the Python of an executor cannot make parts ({last.strip()})",
                remedy="install the same Python and ncf on every node; PYSPARK_PYTHON names it",
            )
        return RuntimeError(said)  # what Java holds of it is gone before anybody reads it
    first = said.partition("\n")[0].removesuffix(".")
    return UnreachableError(f"Spark at {master} gave up: {first}", remedy=_KEPT)


def _of_python(line: str) -> bool:
    """Whether a line is the end of a traceback of Python: ``SomeError: why``."""
    name = line.strip().partition(":")[0]
    return not line.startswith(" ") and name.endswith(("Error", "Exception")) and " " not in name


@contextmanager
def opened(cluster: Cluster) -> Iterator[Spark]:
    """Give an engine whose application ends with the block.

    Raises
    ------
    CapabilityError
        There is no Java that Spark runs on.
    UsageError
        The address is none, or a Spark application runs here at another one.
    UnreachableError
        Nobody answers at the address.
    """
    with ExitStack() as stack:
        yield Spark(
            cluster,
            lambda threads: stack.enter_context(spark_context(cluster.address, threads)),
        )
