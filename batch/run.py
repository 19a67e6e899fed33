"""One batch run: finish every shard, seal the run, publish it, then point LATEST at it.

The same command after any death goes on from the shards that are whole and ends in the same
bytes; other inputs begin anew.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from batch.shards import PARTS, Scoring, plan, score
from batch.work import Work
from ncf.artifacts import BUNDLE, RUN, open_sealed, read_manifest, seal
from ncf.devices import Device, usable_cores
from ncf.errors import ArtifactError, UsageError
from ncf.files import atomic_file, sweep
from ncf.locks import writer_lock
from ncf.progress import report
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.ranking import GraphRanker, check_k

LATEST_FILE = "LATEST"
SUCCESS_FILE = "_SUCCESS"
_RUN_NAME = r"\d{8}T\d{6}Z-[0-9a-f]{8}(?:-\d+)?"
_LARGEST_K = int(np.iinfo(np.int16).max)  # rank is an int16


@dataclass(frozen=True)
class Job:
    """What to score and where to publish.

    Parameters
    ----------
    bundle : Path
        Exported model.
    out : Path
        Folder of all runs.
    k : int
        Rows a user at most, 1 to 32,767.
    device : Device
        Where to compute.
    shard_users : int
        Users a part, at least 1.
    workers : int
        Threads that score; 0 takes every core this process may use.
    """

    bundle: Path
    out: Path
    k: int = 10
    device: Device = Device.AUTO
    shard_users: int = 10_000
    workers: int = 0

    def __post_init__(self) -> None:
        """Check ranges."""
        check_k(self.k)
        if self.k > _LARGEST_K:
            raise UsageError(f"k = {self.k} is above {_LARGEST_K}")
        if self.shard_users < 1:
            raise UsageError(f"--shard-users {self.shard_users} is less than 1")
        if self.workers < 0:
            raise UsageError(f"--workers {self.workers} is less than 0")


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
        ``run``, its ``users``, ``rows``, ``parts_reused``, ``seconds``, and
        ``users_per_second`` where all of them were scored.

    Raises
    ------
    ArtifactError
        The bundle is damaged, or changed while it was read.
    LockedError
        Another batch writes here.
    """
    bundle = open_bundle(job.bundle)
    ranker = GraphRanker.open(bundle, job.device, threads=1)
    with writer_lock(job.out / "runs"):
        sweep(job.out, f"{_RUN_NAME}|{LATEST_FILE}")
        parameters = {"k": job.k, "shard_users": job.shard_users}
        inputs = {"bundle": bundle.digest}
        work = Work.open(job.out, {"parameters": parameters, "inputs": inputs, **_machinery(job)})
        started = time.monotonic()
        parts, reused = _score(job, Scoring(bundle, ranker, job.k), work)
        seconds = time.monotonic() - started
        _require_unchanged(bundle)
        figures = {
            "users": bundle.n_users,
            "rows": sum(parts.values()),
            "parts_reused": reused,
            "seconds": round(seconds, 3),
        }
        (work.parts / SUCCESS_FILE).touch()
        document = {**figures, "parameters": parameters, "inputs": inputs, "rows_by_part": parts}
        seal(work.parts, RUN, {**document, **_machinery(job)})
        folder = _new_folder(job.out, f"{now:%Y%m%dT%H%M%SZ}-{bundle.digest[:8]}")
        work.publish(folder)
        with atomic_file(job.out / LATEST_FILE) as latest:
            latest.write(f"{folder.name}\n".encode())
    speed = {} if reused else {"users_per_second": round(bundle.n_users / seconds, 1)}
    return {"run": folder.name, **figures, **speed}


def _score(job: Job, scoring: Scoring, work: Work) -> tuple[dict[str, int], int]:
    """Finish every shard; returns rows by part, and how many parts were here already."""
    users = scoring.bundle.n_users
    parts, reused = {}, 0
    workers = job.workers or usable_cores()
    with report("score users", users) as progress, ThreadPoolExecutor(workers) as pool:
        pooled = replace(scoring, pool=pool)
        for shard in plan(users, job.shard_users):
            rows, was_here = work.finish(shard, partial(score, pooled, shard))
            parts[shard.part] = rows
            reused += was_here
            progress.advance(shard.stop - shard.start)
    return parts, reused


def latest_run(out: Path) -> Path:
    """Folder of the newest complete run.

    Raises
    ------
    ArtifactError
        Nothing was published here.
    """
    try:
        name = (out / LATEST_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise ArtifactError("no run was published here", where=out, remedy=RUN.remedy) from error
    return out / name


def read_latest(out: Path) -> pd.DataFrame:
    """Read the newest complete run: columns of the table, rows by user and rank.

    Raises
    ------
    ArtifactError
        Nothing was published here, or a part is damaged.
    """
    run_folder = latest_run(out)
    open_sealed(run_folder, RUN)
    parts = sorted(run_folder.glob(PARTS))
    table: pd.DataFrame = pa.concat_tables([pq.read_table(part) for part in parts]).to_pandas()
    return table


def _new_folder(out: Path, name: str) -> Path:
    folder, count = out / name, 1
    while folder.exists():
        count += 1
        folder = out / f"{name}-{count}"
    return folder


def _machinery(job: Job) -> dict[str, str]:
    """Name what may change the last bits of a score, besides parameters and inputs."""
    versions = {"ncf": metadata.version("ncf"), "onnxruntime": ort.__version__}
    return {"device": job.device.value, **versions}


def _require_unchanged(bundle: Bundle) -> None:
    if read_manifest(bundle.path, BUNDLE)["digest"] != bundle.digest:
        raise ArtifactError(
            "the bundle changed during the run", where=bundle.path, remedy="run the batch again"
        )
