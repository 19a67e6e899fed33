"""Run a batch in pieces: work on a plan anywhere, and commit it, each in a process of its own."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from batch.audience_file import open_audience
from batch.committing import Commit
from batch.engines.engine import watched
from batch.engines.threads import Threads
from batch.figures import figures_of
from batch.gates import Gates
from batch.places import Place, current_plan, open_place
from batch.plans import Plan
from batch.receipts import Receipt
from batch.runs import held_runs
from batch.sessions import Session
from batch.setting_aside import set_aside
from ncf.errors import ArtifactError, NotProvenError


def work_on(
    out: str | Path,
    shards: Iterable[int],
    *,
    plan: Plan | None = None,
    bundle: str | Path | None = None,
    workers: int = 0,
) -> list[Receipt]:
    """Make some parts of the plan of a place, on the threads of this process.

    Parameters
    ----------
    out : str or Path
        Folder of all runs, or a URI.
    shards : iterable of int
        Numbers of the shards.
    plan : Plan, optional
        The plan; if not given, the one that is there.
    bundle : str or Path, optional
        Folder of the bundle on this machine, or a URI, if it is not that of the plan.
    workers : int
        Threads that score; 0 takes every core that this process may use.

    Raises
    ------
    ArtifactError
        Nothing is planned, the plan is closed, or the bundle or a library is another than its.
    InterruptedWorkError
        Ctrl-C or SIGTERM came; finished parts are kept.
    """
    place = open_place(out)
    plan = plan or planned(place)
    engine = Threads(Session.open(place, plan, bundle), workers)
    receipts = watched(engine, plan, shards)
    return sorted(receipts, key=lambda receipt: receipt.shard)


def commit_batch(  # noqa: PLR0913 - as the call has them
    out: str | Path,
    *,
    plan: str = "",
    keep: int = 0,
    bundle: str | Path | None = None,
    work: Path | None = None,
    gates: Gates = (),
    report: bool = False,
) -> dict[str, Any]:
    """Commit the plan of a place, whose parts have been made.

    Parameters
    ----------
    out : str or Path
        Folder of all runs, or a URI.
    plan : str
        Id of the plan, or its beginning; empty for the one that is there.
    bundle : str or Path, optional
        Folder of the bundle on this machine, or a URI, if it is not that of the plan.
    keep, work, gates, report
        As of :class:`batch.job.Job`.

    Returns
    -------
    dict
        As of :func:`run_batch`.

    Raises
    ------
    ArtifactError
        Nothing is planned, a part or receipt is not as it should be, or an input has changed.
    NotProvenError
        The parts did not prove the recall that was asked for: the next try is planned.
    GateError
        The run failed a gate: it is whole, and set aside.
    LockedError
        Another batch writes here.
    """
    place = open_place(out, work)
    if not plan:
        planned(place)  # an error before the lock, which would make the folder
    audience = partial(open_audience, place, bundle=bundle)
    commit = Commit(place, audience, keep, bundle, gates, report)
    with place.coordinating():
        place.prepare()
        done = _committed(place, plan) if plan else None
        return figures_of(place.runs, done) if done else _commit(commit, planned(place, plan), out)


def _commit(commit: Commit, plan: Plan, out: str | Path) -> dict[str, Any]:
    if (further := commit(plan)) is not None:
        raise _not_proven(out, plan, further)
    return figures_of(commit.place.runs, plan.run)


def planned(place: Place, wanted: str = "") -> Plan:
    """Read the plan of a place.

    Parameters
    ----------
    place : Place
        The place.
    wanted : str
        Id of the plan, or its beginning; empty for any.

    Raises
    ------
    ArtifactError
        Nothing is planned here, or another plan.
    """
    plan = current_plan(place)
    if plan is None:
        raise ArtifactError(
            "nothing is planned here", where=place.runs.root, remedy="plan a batch first"
        )
    if not plan.id.startswith(wanted):
        raise ArtifactError(
            f"plan {wanted} is closed: {plan.folder} is the plan here now",
            where=place.runs.root,
            remedy="work on this one, or plan again",
        )
    return plan


def _not_proven(out: str | Path, plan: Plan, further: Plan) -> NotProvenError:
    way = f"try {len(further.rounds)}" if further.rounds else "an exact ranking"
    return NotProvenError(
        f"plan {plan.folder} did not prove its recall; {way} is planned as {further.folder} "
        f"({further.shards} shards)",
        where=out,
    )


def _committed(place: Place, plan: str) -> str | None:
    """Find the run of a plan that was committed, and is not the unfinished one."""
    now = current_plan(place)
    if now is not None and now.id.startswith(plan):
        return None
    for name in reversed(place.runs.names()):
        if (place.runs.manifest(name).plan or "").startswith(plan):
            return name
    aside = held_runs(place.runs)
    for name in reversed(aside.names()):
        if (aside.manifest(name).plan or "").startswith(plan):
            raise set_aside(place, name)
    return None
