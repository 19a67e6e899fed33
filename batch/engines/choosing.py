"""Find the engine that a job asks for; a cluster's package is imported only where it is used."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from batch.engines import ray
from batch.engines.engine import Cluster, Engine
from batch.engines.errands import shared_place
from batch.engines.threads import Threads
from batch.job import Job
from batch.options import EngineName
from batch.sessions import Session
from ncf.extras import require

# Their modules import the packages when they are used, so that nobody else needs them.
_MODULES = {EngineName.RAY: "ray"}
_ADDRESSES = {EngineName.RAY: ray.require_address}
_OPENED = {EngineName.RAY: ray.opened}


def require_engine(job: Job) -> None:
    """Refuse a job whose engine cannot be had, before anything is read.

    Raises
    ------
    CapabilityError
        Its package is not installed.
    UsageError
        The address is none, or the place is not one that nodes can share.
    """
    if job.engine is EngineName.THREADS:
        return
    require(_MODULES[job.engine], user=f'`engine="{job.engine.value}"`')
    _ADDRESSES[job.engine](job.address)
    shared_place(job.out)


@contextmanager
def opened_engine(job: Job, session: Callable[[], Session]) -> Iterator[Engine]:
    """Open the engine of a job, and close it at the end; a cluster's starts when it first runs.

    Parameters
    ----------
    job : Job
        Names the engine.
    session : callable
        Opens the plan in this process, for the engine that works here.
    """
    if job.engine is EngineName.THREADS:
        yield Threads(session(), job.workers)
        return
    cluster = Cluster(shared_place(job.out), job.address, job.workers, job.patience)
    with _OPENED[job.engine](cluster) as engine:
        yield engine
