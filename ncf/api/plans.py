"""Run a batch in pieces: plan it, make its parts anywhere, commit them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batch.pieces import commit_batch as commit_plan
from batch.pieces import planned, work_on
from batch.pipeline import plan_batch as plan_job
from batch.places import open_place
from batch.plans import Plan
from ncf.api.figures import Figures
from ncf.api.filters import Given
from ncf.api.jobs import bundle_place, gates_of, job_of, metrics_to, out_given
from ncf.api.options import Date, Place, folder
from ncf.api.runs import Run
from ncf.api.shards import chosen_shards
from ncf.data.naming import Given as Columned
from ncf.errors import UsageError
from ncf.records import json_values

if TYPE_CHECKING:
    from ncf.api.bundles import Bundle


def plan_batch(
    bundle: "Bundle | Place",
    *,
    out: Place = "topk",
    k: int = 10,
    device: str = "auto",
    mode: str = "auto",
    recall: float = 0.999,
    like: Place | None = None,
    since: Place | None = None,
    seen: Given = None,
    users: Given = None,
    exclude_items: Given = None,
    candidates: Given = None,
    exclude_pairs: Given = None,
    refresh: bool = False,
    cold_user: str | None = None,
    columns: Columned = None,
    keep_spaces: bool = False,
    format: str = "parquet",
    layout: str = "long",
    shard_users: int = 10_000,
    work: Place | None = None,
    date: Date | None = None,
) -> Figures:
    """Plan a batch, whose parts any machine that reaches ``out`` can then make.

    The parameters are those of :func:`ncf.batch`. The plan of the same inputs is taken up with
    what is done of it; a plan of others is given up.

    Returns
    -------
    Figures
        ``plan`` (its id), ``run`` (the name that the run will have), ``users``, ``shards``, the
        ``mode``, ``device`` and, of a screened plan, the ``try``.

    Raises
    ------
    ArtifactError
        The bundle is damaged.
    RatingsError
        A file, frame or id cannot be read.
    UsageError
        An option is out of range, or no user or no item is left.
    LockedError
        Another batch writes here.
    DateTakenError
        A run of the date is there already.
    StorageError
        The output cannot be written.

    Examples
    --------
    >>> plan = ncf.plan_batch(bundle, out="apart", shard_users=20)
    >>> plan["shards"]
    2
    >>> for shard in range(plan["shards"]):
    ...     receipts = ncf.work_batch("apart", shard)  # on any machine
    >>> ncf.commit_batch("apart").figures["users"]
    40
    """
    with job_of(
        bundle,
        out,
        ranked=(k, device, mode, recall, like, since),
        given=(seen, users, exclude_items, candidates, exclude_pairs),
        wishes=(refresh, cold_user, columns, keep_spaces),
        style=(format, layout),
        machine=(shard_users, 0, 0, work),
        published=(None, date, False),
    ) as job:
        return Figures(_described(plan_job(job, datetime.now(UTC))))


def work_batch(
    out: Place = "topk",
    shards: int | str | Iterable[int] | None = None,
    *,
    plan: str = "",
    bundle: "Bundle | Place | None" = None,
    workers: int = 0,
) -> list[Figures]:
    """Make parts of the plan of a place, unless they are there already.

    Parameters
    ----------
    out : str or Path
        The ``out`` of the plan, as this machine reaches it.
    shards : int, str or iterable of int, optional
        Numbers of shards from 0: one, several, ``"3..7"`` (both included), or ``"2/16"``, the
        third of sixteen equal shares; if not given, all.
    plan : str
        Id of the plan, or its beginning; another one is refused. Empty for the one that is there.
    bundle : Bundle, str or Path, optional
        The plan's bundle, if it is elsewhere for this machine: a folder, or a URI.
    workers : int
        Threads that score; 0 takes all cores.

    Returns
    -------
    list of Figures
        The receipts, by shard.

    Raises
    ------
    ArtifactError
        Nothing is planned, the plan is closed, or the bundle or a library is another than its.
    UsageError
        A shard is not of the plan.
    StorageError
        The output cannot be written.
    InterruptedWorkError
        Ctrl-C was pressed; finished parts are kept.

    Examples
    --------
    >>> plan = ncf.plan_batch(bundle, out="shared", shard_users=20)
    >>> receipts = ncf.work_batch("shared", "0..1")
    >>> [receipt["part"] for receipt in receipts]
    ['part-00000.parquet', 'part-00001.parquet']
    """
    place = open_place(out_given(out))
    found = planned(place, plan)
    if workers < 0:
        raise UsageError(f"`workers` {workers} is less than 0")
    numbers = chosen_shards(shards, found.shards)
    where = None if bundle is None else bundle_place(bundle)
    receipts = work_on(out, numbers, plan=found, bundle=where, workers=workers)
    return [Figures(json_values(receipt)) for receipt in receipts]


def commit_batch(
    out: Place = "topk",
    *,
    plan: str = "",
    keep: int = 0,
    bundle: "Bundle | Place | None" = None,
    work: Place | None = None,
    metrics_file: Place | None = None,
    gate: Place | None = None,
    report: bool = True,
) -> Run:
    """Check all parts of the plan of a place, and publish them as a run.

    Parameters
    ----------
    out : str or Path
        The ``out`` of the plan, as this machine reaches it.
    plan : str
        Id of the plan, or its beginning; another one is refused. If it was committed already, its
        run is returned. Empty for the one that is there.
    keep : int
        Number of runs to keep, with the new one; 0 keeps all.
    bundle : Bundle, str or Path, optional
        The plan's bundle, if it is elsewhere for this machine: a folder, or a URI.
    work : str or Path, optional
        Folder of this machine's lock for an object store.
    metrics_file : str or Path, optional
        File for figures in Prometheus' text format.
    gate : str or Path, optional
        File of gates, as for :func:`ncf.batch`.
    report : bool
        Put a page for people into the run, as for :func:`ncf.batch`.

    Raises
    ------
    ArtifactError
        Nothing is planned; a part or receipt is missing, torn, foreign, or disagrees with another
        one; or an input has changed. The message names it.
    NotProvenError
        The parts did not prove the recall that was asked for; the next try is planned.
    GateError
        The run failed a gate: it is whole, and set aside.
    LockedError
        Another batch writes here.
    StorageError
        The output cannot be written.

    Examples
    --------
    >>> plan = ncf.plan_batch(bundle, out="pieces", k=3)
    >>> receipts = ncf.work_batch("pieces")
    >>> run = ncf.commit_batch("pieces", plan=plan["plan"])
    >>> run.name == plan["run"], run.figures["rows"]
    (True, 120)
    """
    if keep < 0:
        raise UsageError(f"`keep` {keep} is less than 0")
    where = None if bundle is None else bundle_place(bundle)
    aside = None if work is None else folder(work, "work")
    with metrics_to(metrics_file) as record:
        figures = commit_plan(
            out_given(out),
            plan=plan,
            keep=keep,
            bundle=where,
            work=aside,
            gates=gates_of(gate),
            report=report,
        )
        record(figures)
    return Run(figures, out)


def _described(plan: Plan) -> dict[str, object]:
    found = {
        "plan": plan.folder,
        "run": plan.run,
        "users": plan.users,
        "shards": plan.shards,
        "mode": plan.identity.mode.value,
        "device": plan.asked.device,
    }
    return {**found, "try": len(plan.rounds)} if plan.rounds else found
