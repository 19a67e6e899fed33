"""One batch run: finish every shard, seal the run, publish it, then point LATEST at it.

The same command after any death goes on from the shards that are whole and ends in the same
bytes; other inputs begin anew.
"""

import itertools
import logging
import time
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import onnxruntime as ort
import pyarrow as pa

from batch.audience import read_audience
from batch.destination import Destination, open_destination
from batch.job import Job
from batch.memory import peak_memory
from batch.parts import Task
from batch.recall_contract import attempts
from batch.runs import SUCCESS_FILE, Runs, open_runs
from batch.totals import Totals, score_all
from batch.unfinished import Unfinished
from ncf.artifacts import BUNDLE, RUN, open_sealed, seal
from ncf.errors import ArtifactError, NcfError, UsageError
from ncf.files import sha256, storage_errors
from ncf.locks import writer_lock
from ncf.scoring.bundle import Bundle, open_bundle

logger = logging.getLogger(__name__)

_NOT_FIGURES = {
    *("digest", "files", "inputs", "parameters", "parts_version", "rows_by_part", "schema_version"),
    *("audit", "ncf", "onnxruntime", "pyarrow", "width"),
}
_PARTS_VERSION = 1  # counts changes to how parts are made


def run_batch(job: Job, now: datetime) -> dict[str, Any]:
    """Score every user against every unseen item and publish the table.

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
    inputs = {name: _digest(name, path) for name, path in job.filters.files().items()}
    bundle = open_bundle(job.bundle)
    audience = read_audience(bundle, job.filters)
    runs = open_runs(job.out)
    destination = open_destination(runs, job.work, str(job.out))
    ways = attempts(job, audience, {"bundle": bundle.digest, **inputs})
    first = next(ways)
    logger.info("scoring %s users on %s", f"{len(audience):,}", first.ranker.device.value)
    with writer_lock(destination.lock):
        destination.prepare()
        before = _latest(runs)
        read = time.monotonic() - started
        for attempt in itertools.chain([first], ways):
            identity = {
                "parameters": _parameters(job),
                "inputs": {"bundle": bundle.digest, **inputs},
                **attempt.identity(),
                **_versions(),
            }
            work = Unfinished.open(destination.work, identity, partial(_forget, runs, destination))
            if (name := _published(runs, work)) is not None:
                break
            task = Task(audience, attempt.ranker, job.k, job.style, attempt.audit)
            totals = score_all(job, task, work)
            if not attempt.keeps(totals.audited):
                continue
            _require_unchanged(job, bundle, inputs)
            seconds = {"read": read, **totals.seconds, "total": time.monotonic() - started}
            document = {
                **identity,
                **_counts(task, totals),
                **attempt.report(totals.audited, job.k),
                "sequence": _sequence(runs),
                "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
                "peak_memory_bytes": peak_memory(),
            }
            with storage_errors(work.parts):
                (work.parts / SUCCESS_FILE).touch()
                seal(work.parts, RUN, document)
            name = work.name(lambda: _name(runs, now, bundle))
            destination.publish(work.parts, name)
            break
        if name is None:
            raise AssertionError  # the last way ranks exactly, and keeps any contract
        destination.point(name)
        _tidy(job, runs, destination, work, list(dict.fromkeys([name, before])))
        return {"run": name, "table": f"{runs.folder or runs.root}/{name}", **_figures(runs, name)}


def _counts(task: Task, totals: Totals) -> dict[str, Any]:
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


def _parameters(job: Job) -> dict[str, Any]:
    return {
        "k": job.k,
        "shard_users": job.users_a_shard,
        "format": job.style.file_format.value,
        "layout": job.style.layout.value,
        "cold_user": job.filters.strangers.value if job.filters.strangers else None,
    }


def _versions() -> dict[str, Any]:
    """Name what may change the bytes of a part, besides parameters and inputs."""
    versions = {"ncf": metadata.version("ncf"), "onnxruntime": ort.__version__}
    return {**versions, "pyarrow": pa.__version__, "parts_version": _PARTS_VERSION}


def _name(runs: Runs, now: datetime, bundle: Bundle) -> str:
    name = f"{now:%Y%m%dT%H%M%SZ}-{bundle.digest[:8]}"
    taken, count = set(runs.names()), 1
    while (tried := name if count == 1 else f"{name}-{count}") in taken:
        count += 1
    return tried


def _latest(runs: Runs) -> str | None:
    try:
        return runs.latest()
    except ArtifactError:
        return None


def _sequence(runs: Runs) -> int:
    """Count of publishes; above that of any run that is here, whatever LATEST names."""
    return 1 + max(map(runs.sequence, runs.names()), default=0)


def _published(runs: Runs, work: Unfinished) -> str | None:
    """Name of a run that was renamed into place, and is whole, but not yet named by LATEST."""
    name = work.published()
    if name is None or runs.folder is None:
        return None
    try:
        open_sealed(runs.folder / name, RUN)
    except ArtifactError as error:
        logger.warning("beginning anew: %s", error)
        work.begin_anew()
        return None
    return name


def _forget(runs: Runs, destination: Destination, name: str) -> None:
    """Remove what an abandoned run has left, unless it was published after all."""
    if name != _latest(runs):
        destination.remove(name)


def _tidy(
    job: Job, runs: Runs, destination: Destination, work: Unfinished, newest: list[str | None]
) -> None:
    """Clear the work away, and all but the ``keep`` newest runs.

    These are ``newest`` (this one, and the one that LATEST named before, which an operator may
    have gone back to), then others by order of publishing. The table is published: what goes
    wrong here is a warning.
    """
    try:
        work.clear()
        if job.keep:
            names = set(runs.names())
            first = [each for each in newest if each in names]
            others = sorted(names - set(first), key=runs.sequence, reverse=True)
            for old in [*first, *others][job.keep :]:
                destination.remove(old)
    except (NcfError, OSError) as error:
        logger.warning("the table is published, and something old is left: %s", error)


def _require_unchanged(job: Job, bundle: Bundle, inputs: Mapping[str, str]) -> None:
    """Refuse to publish what was read from files that have changed since."""
    changed = [
        path for name, path in job.filters.files().items() if _digest(name, path) != inputs[name]
    ]
    if changed or open_sealed(bundle.path, BUNDLE)["digest"] != bundle.digest:
        raise ArtifactError(
            "changed during the run; nothing was published",
            where=changed[0] if changed else bundle.path,
            remedy="run the batch again",
        )


def _digest(name: str, path: Path) -> str:
    if not path.is_file():
        raise UsageError(f"no such file, for `{name}`", where=path, remedy="check the path")
    return sha256(path)
