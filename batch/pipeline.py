"""Run a batch: plan it, let an engine make its parts, commit them.

After a crash, the same command continues from the whole parts and ends in the same bytes; with
other inputs it starts over.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from batch.committing import Commit, Measured
from batch.dates import require_new
from batch.engines.choosing import opened_engine, require_engine
from batch.engines.engine import Engine, watched
from batch.figures import figures_of
from batch.job import Job
from batch.places import Place, open_place
from batch.planning import Prepared, take_up
from batch.plans import Plan
from batch.setting_aside import is_held
from batch.tally import receipts_so_far
from ncf.errors import DateTakenError

logger = logging.getLogger(__name__)


def run_batch(job: Job, now: datetime) -> dict[str, Any]:
    """Score every user against every item that the user may get, and publish the table.

    Parameters
    ----------
    job : Job
        What to score and where to publish it.
    now : datetime
        Time that names the run, unless the job has a date.

    Returns
    -------
    dict
        ``run`` and ``table`` (name and place of the run), and the figures of its manifest. Of a
        run with a date, ``outcome`` is "published", "backfilled" (LATEST names one of a later
        date) or "kept" (it was there already).

    Raises
    ------
    ArtifactError
        The bundle is damaged, or an input changed while it was read.
    RatingsError
        A file of users or items cannot be read.
    LockedError
        Another batch writes here.
    StorageError
        The output cannot be written.
    InterruptedWorkError
        Ctrl-C or SIGTERM came; finished parts are kept.
    GateError
        The table failed a gate: it is whole, and set aside.
    CapabilityError
        The engine's package is not installed.
    """
    try:
        return _published(job, now)
    except DateTakenError as there:
        logger.info("%s", there)
        return {**figures_of(open_place(job.out, job.work).runs, there.run), "outcome": "kept"}


def _published(job: Job, now: datetime) -> dict[str, Any]:
    started = time.monotonic()
    require_engine(job)
    with (
        _planning(job, now) as (prepared, place, first),
        opened_engine(job, lambda: prepared.session(place, first)) as engine,
    ):
        plan = first
        commit = Commit(
            place, lambda _: prepared.inputs.audience, job.keep, None, job.gates, job.report
        )
        begun = time.monotonic()
        while True:
            made = is_held(place, plan) or place.is_published(plan)
            reused = 0 if made else finish(engine, plan, place)
            further = commit(plan, Measured(reused, time.monotonic() - begun, started))
            if further is None:
                return figures_of(place.runs, plan.run)
            plan = further


def plan_batch(job: Job, now: datetime) -> Plan:
    """Plan a batch alone: what :func:`run_batch` does first.

    Raises
    ------
    ArtifactError
        The bundle is damaged.
    RatingsError
        A file of users or items cannot be read.
    LockedError
        Another batch writes here.
    DateTakenError
        A run of the date is there already.
    StorageError
        The output cannot be written.
    """
    with _planning(job, now) as (_, __, plan):
        return plan


def finish(engine: Engine, plan: Plan, place: Place) -> int:
    """Let an engine finish every shard of a plan; count the parts that were there already."""
    before = receipts_so_far(place, plan)
    receipts = watched(engine, plan, range(plan.shards))
    return sum(before.get(receipt.shard) == receipt for receipt in receipts)


@contextmanager
def _planning(job: Job, now: datetime) -> Iterator[tuple[Prepared, Place, Plan]]:
    """Read the inputs, then hold the lock of the place, and plan."""
    place = open_place(job.out, job.work)
    require_new(place, job.date)
    prepared = Prepared.read(job)
    users, device = f"{len(prepared.inputs.audience):,}", prepared.rankers.device.value
    logger.info("scoring %s users on %s", users, device)
    with place.coordinating():
        place.prepare()
        require_new(place, job.date)  # again: nobody else can publish from here on
        yield prepared, place, take_up(prepared, place, now)
