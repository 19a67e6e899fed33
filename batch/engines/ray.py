"""Run shards as tasks of a Ray cluster."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from batch.engines.engine import Cluster
from batch.engines.errands import Errand, receipt_of, run_errand
from batch.engines.threads import threads_a_task
from batch.plans import Plan
from batch.receipts import Receipt

_AT_ONCE = 64


@contextmanager
def opened(cluster: Cluster) -> Iterator["Ray"]:
    """Connect to a cluster, or start one, until the block ends."""
    ray = _imported()
    ray.init(address=cluster.address or "local", include_dashboard=False, log_to_driver=False)
    try:
        yield Ray(cluster)
    finally:
        ray.shutdown()


class Ray:
    """Runs each shard as a task.

    Parameters
    ----------
    cluster : Cluster
        Where, and with how many threads.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def run(self, plan: Plan, shards: Iterable[int]) -> Iterator[Receipt]:
        """Finish every shard, and yield its receipt; the order is any."""
        threads = threads_a_task(plan, self._cluster.workers)
        errand = Errand(plan.content(), self._cluster.out, threads)
        ray = _imported()
        task = ray.remote(run_errand).options(num_cpus=threads, max_retries=3)
        left, running = iter(shards), list[Any]()
        while True:
            for number in islice(left, _AT_ONCE - len(running)):
                running.append(task.remote(errand, number))
            if not running:
                return
            done, running = ray.wait(running)
            for each in done:
                yield receipt_of(ray.get(each))


def _imported() -> Any:  # noqa: ANN401 - a module without types
    """Import Ray where it is used, so that nobody else needs it."""
    import ray  # noqa: PLC0415 - see above

    return ray
