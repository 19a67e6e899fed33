"""One batch: read the inputs, finish the parts, seal them, publish the run.

The same command after any death goes on from the parts that are whole and ends in the same
bytes; other inputs begin anew.
"""

import itertools
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from typing import Any

import onnxruntime as ort
import pyarrow as pa

from batch.inputs import Inputs, read_inputs, require_unchanged
from batch.job import Job
from batch.memory import peak_memory
from batch.parts import Task
from batch.publication import Publication
from batch.recall_contract import Attempt, attempts
from batch.runs import SUCCESS_FILE, Runs
from batch.totals import Totals, finish_parts
from batch.unfinished import Unfinished
from ncf.artifacts import RUN, Document, seal
from ncf.files import storage_errors

logger = logging.getLogger(__name__)

_NOT_FIGURES = {
    *("digest", "files", "inputs", "parameters", "parts_version", "rows_by_part", "schema_version"),
    *("audit", "ncf", "onnxruntime", "pyarrow", "width"),
}
_PARTS_VERSION = 1  # counts changes to how parts are made


def run_batch(job: Job, now: datetime) -> dict[str, Any]:
    """Score every user against every item that the user may get, and publish the table.

    Parameters
    ----------
    job : Job
        What and where.
    now : datetime
        Names the run.

    Returns
    -------
    dict
        ``run`` and ``table`` (its name and place), and the figures of its ``manifest.json``.

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
        Ctrl-C or SIGTERM; finished parts are kept.
    """
    started = time.monotonic()
    inputs = read_inputs(job)
    publication = Publication.open(job)
    ways = attempts(job, inputs.audience, inputs.digests)
    first = next(ways)  # opens the graphs: what is missing is found out before the lock
    logger.info("scoring %s users on %s", f"{len(inputs.audience):,}", first.ranker.device.value)
    with publication.writing():
        read = time.monotonic() - started
        finished = _finish(job, inputs, itertools.chain([first], ways), publication)
        unfinished, name = finished.unfinished, finished.published
        if name is None:
            require_unchanged(inputs)
            seconds = {"read": read, **finished.seconds, "total": time.monotonic() - started}
            _seal(unfinished, {**finished.facts, "sequence": publication.sequence()}, seconds)
            name = publication.publish(unfinished, now, inputs.bundle.digest)
        publication.conclude(name, unfinished, job.keep)
        runs = publication.runs
        return {"run": name, "table": f"{runs.folder or runs.root}/{name}", **_figures(runs, name)}


@dataclass(frozen=True)
class _Finished:
    """Parts that keep the recall contract.

    Parameters
    ----------
    unfinished : Unfinished
        Holds them.
    published : str or None
        Name under which a batch that died had published them already.
    facts : dict
        What the manifest says of them.
    seconds : mapping
        What they took, by phase.
    """

    unfinished: Unfinished
    published: str | None
    facts: Document
    seconds: Mapping[str, float]


def _finish(
    job: Job, inputs: Inputs, ways: Iterable[Attempt], publication: Publication
) -> _Finished:
    """Finish every part in the first of the ways that keeps the contract."""
    for attempt in ways:
        identity = {**_identity(job, inputs), **attempt.identity()}
        unfinished = publication.take_up(identity)
        if (name := publication.published(unfinished)) is not None:
            return _Finished(unfinished, name, {}, {})
        task = Task(inputs.audience, attempt.ranker, job.k, job.style, attempt.audit)
        totals = finish_parts(job, task, unfinished)
        if attempt.keeps(totals.audited):
            report = attempt.report(totals.audited, job.k)
            facts = {**identity, **_counts(task, totals), **report}
            return _Finished(unfinished, None, facts, totals.seconds)
    raise AssertionError  # the last way ranks exactly, and keeps any contract


def _seal(unfinished: Unfinished, facts: Document, seconds: Mapping[str, float]) -> None:
    document = {
        **facts,
        "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
        "peak_memory_bytes": peak_memory(),
    }
    with storage_errors(unfinished.parts):
        (unfinished.parts / SUCCESS_FILE).touch()
        seal(unfinished.parts, RUN, document)


def _identity(job: Job, inputs: Inputs) -> Document:
    """Name all that may change the bytes of a part, besides the way of ranking."""
    return {
        "parameters": {
            "k": job.k,
            "shard_users": job.users_a_shard,
            "format": job.style.file_format.value,
            "layout": job.style.layout.value,
            "cold_user": job.filters.strangers.value if job.filters.strangers else None,
            **({"keep_spaces": True} if job.filters.keep_spaces else {}),
        },
        "inputs": dict(inputs.digests),
        "ncf": metadata.version("ncf"),
        "onnxruntime": ort.__version__,
        "pyarrow": pa.__version__,
        "parts_version": _PARTS_VERSION,
    }


def _counts(task: Task, totals: Totals) -> Document:
    users = len(task.audience)
    speed = {} if totals.reused else {"users_per_second": round(users / totals.elapsed, 1)}
    return {
        **task.audience.counts,
        "users": users,
        "users_by_policy": dict(totals.users),
        "rows": sum(totals.rows.values()),
        "rows_by_part": totals.rows,
        "parts_reused": totals.reused,
        **speed,
    }


def _figures(runs: Runs, name: str) -> dict[str, Any]:
    manifest = runs.manifest(name)
    return {key: value for key, value in manifest.items() if key not in _NOT_FIGURES}
