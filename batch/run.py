"""One batch run: finish every shard, seal the run, publish it, then point LATEST at it.

The same command after any death goes on from the shards that are whole and ends in the same
bytes; other inputs begin anew.
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from batch.audience import Filters, read_audience
from batch.destination import Destination, open_destination
from batch.engine import run_shards
from batch.runs import SUCCESS_FILE, Runs, open_runs
from batch.shards import Shard, Task, make_part, plan
from batch.tables import Style
from batch.work import Part, Work
from ncf.artifacts import BUNDLE, RUN, open_sealed, seal
from ncf.devices import Device, usable_cores
from ncf.errors import ArtifactError, InterruptedWorkError, UsageError
from ncf.files import sha256
from ncf.locks import writer_lock
from ncf.progress import report
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.ranking import GraphRanker, check_k

logger = logging.getLogger(__name__)

_LARGEST_K = int(np.iinfo(np.int16).max)  # rank is an int16


@dataclass(frozen=True)
class Job:
    """What to score and where to publish.

    Parameters
    ----------
    bundle : Path
        Exported model.
    out : str or Path
        Folder of all runs, or a URI such as ``s3://bucket/topk``.
    k : int
        Rows a user at most, 1 to 32,767.
    device : Device
        Where to compute.
    shard_users : int
        Users a part, at least 1.
    workers : int
        Threads that score; 0 takes every core this process may use.
    filters : Filters
        Files of users and items.
    style : Style
        How parts are written.
    keep : int
        Runs kept, the new one among them; 0 keeps all.
    work : Path or None
        Folder for the unfinished run of an object store.
    """

    bundle: Path
    out: str | Path
    k: int = 10
    device: Device = Device.AUTO
    shard_users: int = 10_000
    workers: int = 0
    filters: Filters = field(default_factory=Filters)
    style: Style = field(default_factory=Style)
    keep: int = 0
    work: Path | None = None

    def __post_init__(self) -> None:
        """Check ranges."""
        check_k(self.k)
        if self.k > _LARGEST_K:
            raise UsageError(f"k = {self.k} is above {_LARGEST_K}")
        for name, least in (("shard_users", 1), ("workers", 0), ("keep", 0)):
            if (value := getattr(self, name)) < least:
                raise UsageError(f"--{name.replace('_', '-')} {value} is less than {least}")


def run(job: Job, now: datetime) -> dict[str, Any]:
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
    inputs = {name: sha256(path) for name, path in job.filters.files().items()}
    bundle = open_bundle(job.bundle)
    audience = read_audience(bundle, job.filters)
    ranker = GraphRanker.open(bundle, job.device, threads=1, allowed=audience.allowed)
    logger.info("scoring %s users on %s", f"{len(audience):,}", ranker.device.value)
    runs = open_runs(job.out)
    destination = open_destination(runs, job.work)
    with writer_lock(destination.lock):
        destination.prepare()
        identity = {
            "parameters": _parameters(job),
            "inputs": {"bundle": bundle.digest, **inputs},
            "device": ranker.device.value,
            **_versions(),
        }
        work = Work.open(destination.work, identity, partial(_forget, runs, destination))
        if (name := work.published()) is None:
            task = Task(audience, ranker, job.k, job.style)
            read = time.monotonic() - started
            totals = _score(job, task, work)
            _require_unchanged(job, bundle, inputs)
            seconds = {"read": read, **totals.seconds, "total": time.monotonic() - started}
            document: dict[str, Any] = {
                **identity,
                **audience.counts,
                "users": len(audience),
                "users_by_policy": dict(totals.users),
                "rows": sum(totals.rows.values()),
                "rows_by_part": totals.rows,
                "parts_reused": totals.reused,
                "sequence": 1 + _latest_sequence(runs),
                "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
                "peak_memory_bytes": peak_memory(),
            }
            if not totals.reused:
                document["users_per_second"] = round(len(audience) / totals.elapsed, 1)
            (work.parts / SUCCESS_FILE).touch()
            seal(work.parts, RUN, document)
            name = work.name(lambda: _name(runs, now, bundle))
            destination.publish(work.parts, name)
        destination.point(name)
        work.clear()
        _retire(runs, destination, job.keep)
        return {"run": name, "table": f"{runs.folder or runs.root}/{name}", **_figures(runs, name)}


def _figures(runs: Runs, name: str) -> dict[str, Any]:
    hidden = {"digest", "files", "inputs", "parameters", "rows_by_part", "schema_version"}
    found = {key: value for key, value in runs.manifest(name).items() if key not in hidden}
    first = {key: found.pop(key) for key in ("users", "users_by_policy", "rows")}
    return {**first, **found}


class _Totals:
    """What the parts add up to."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.users: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.reused = 0
        self.elapsed = 0.0

    def add(self, name: str, part: Part, *, reused: bool) -> None:
        self.rows[name] = part["rows"]
        self.users.update(part["users"])
        self.reused += reused
        if not reused:
            self.seconds.update(part["seconds"])


def _score(job: Job, task: Task, work: Work) -> _Totals:
    """Finish every shard; the order in which they end does not show."""
    shards = list(plan(len(task.audience), job.shard_users))
    found: dict[int, tuple[Part, bool]] = {}
    started = time.monotonic()
    with report("score users", len(task.audience)) as progress:

        def finish(task: Task, shard: Shard) -> None:
            name = job.style.part(shard.number)
            found[shard.number] = work.finish(name, lambda file: make_part(task, shard, file))
            if found[shard.number][1]:
                progress.advance(shard.stop - shard.start)

        watched = replace(task, scored=progress.advance)
        try:
            run_shards(watched, shards, job.workers or usable_cores(), finish)
        except KeyboardInterrupt as error:
            raise InterruptedWorkError(
                f"interrupted with {len(found)} of {len(shards)} parts finished",
                remedy="the same command goes on from them",
            ) from error
    totals = _Totals()
    for number in range(len(shards)):
        part, reused = found[number]
        totals.add(job.style.part(number), part, reused=reused)
    totals.elapsed = time.monotonic() - started
    return totals


def peak_memory() -> int:
    """Most memory that this process has held, in bytes; mapped files count."""
    if sys.platform == "win32":
        return 0
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says may be from before this program was started
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        peak = next((line.split()[1] for line in lines if line.startswith("VmHWM")), None)
        if peak is not None:
            return int(peak) * 1024
    import resource  # noqa: PLC0415 - not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _parameters(job: Job) -> dict[str, Any]:
    return {
        "k": job.k,
        "shard_users": job.shard_users,
        "format": job.style.file_format.value,
        "layout": job.style.layout.value,
        "cold_user": job.filters.strangers.value if job.filters.strangers else None,
    }


def _versions() -> dict[str, str]:
    """Name what may change the last bits of a score, besides parameters and inputs."""
    return {"ncf": metadata.version("ncf"), "onnxruntime": ort.__version__}


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


def _latest_sequence(runs: Runs) -> int:
    latest = _latest(runs)
    return runs.sequence(latest) if latest else 0


def _forget(runs: Runs, destination: Destination, name: str) -> None:
    """Remove what an abandoned run has left, unless it was published after all."""
    if name != _latest(runs):
        destination.remove(name)


def _retire(runs: Runs, destination: Destination, keep: int) -> None:
    """Remove all but the ``keep`` newest runs, by order of publishing; never the latest."""
    if keep:
        latest = runs.latest()
        others = [name for name in runs.names() if name != latest]
        others.sort(key=runs.sequence, reverse=True)
        for name in others[keep - 1 :]:
            destination.remove(name)


def _require_unchanged(job: Job, bundle: Bundle, inputs: Mapping[str, str]) -> None:
    """Refuse to publish what was read from files that have changed since."""
    changed = [path for name, path in job.filters.files().items() if _digest(path) != inputs[name]]
    if changed or open_sealed(bundle.path, BUNDLE)["digest"] != bundle.digest:
        raise ArtifactError(
            "changed during the run; nothing was published",
            where=changed[0] if changed else bundle.path,
            remedy="run the batch again",
        )


def _digest(path: Path) -> str | None:
    return sha256(path) if path.is_file() else None
