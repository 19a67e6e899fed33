"""Run a batch: read the inputs, finish the parts, seal them, publish the run.

After a crash, the same command continues from the whole parts and ends in the same bytes; with
other inputs it starts over.
"""

import itertools
import json
import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from importlib import metadata
from typing import Any

import pyarrow as pa

from batch.audience import Audience
from batch.inputs import Inputs, read_inputs, require_unchanged
from batch.job import Job
from batch.manifest import RUN, Identity, Parameters, RecallProof, RunManifest
from batch.memory import peak_memory
from batch.parts import Task
from batch.publication import Publication
from batch.recall_contract import Attempt, attempts
from batch.runs import SUCCESS_FILE, Runs
from batch.totals import Totals, finish_parts
from batch.unfinished import Unfinished
from ncf.artifacts import canonical_json, seal
from ncf.files import storage_errors
from ncf.records import json_values
from ncf.scoring.onnx_runtime import ort

logger = logging.getLogger(__name__)

_NOT_FIGURES = {
    *("digest", "files", "inputs", "parameters", "parts_version", "rows_by_part", "schema_version"),
    *("audit", "ncf", "onnxruntime", "pyarrow", "width"),
}
_PARTS_VERSION = 1  # raised when parts are made in another way


def run_batch(job: Job, now: datetime) -> dict[str, Any]:
    """Score every user against every item that the user may get, and publish the table.

    Parameters
    ----------
    job : Job
        What to score and where to publish it.
    now : datetime
        Time that names the run.

    Returns
    -------
    dict
        ``run`` and ``table`` (name and place of the run), and the figures of its manifest.

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
    """
    started = time.monotonic()
    inputs = read_inputs(job)
    publication = Publication.open(job)
    ways = attempts(job, inputs.audience, inputs.digests)
    first = next(ways)  # opens the graphs, so that a missing one is an error before the lock
    logger.info("scoring %s users on %s", f"{len(inputs.audience):,}", first.ranker.device.value)
    with publication.writing():
        read = time.monotonic() - started
        unfinished, found = _finish(job, inputs, itertools.chain([first], ways), publication)
        if isinstance(found, RunManifest):
            require_unchanged(inputs)
            seconds = {"read": read, **found.seconds, "total": time.monotonic() - started}
            _seal(unfinished, replace(found, sequence=publication.sequence(), seconds=seconds))
            name = publication.publish(unfinished, now, inputs.bundle.digest)
        else:
            name = found
        publication.conclude(name, unfinished, job.keep)
        runs = publication.runs
        return {"run": name, "table": f"{runs.folder or runs.root}/{name}", **_figures(runs, name)}


def _finish(
    job: Job, inputs: Inputs, ways: Iterable[Attempt], publication: Publication
) -> tuple[Unfinished, RunManifest | str]:
    """Finish every part in the first way that keeps the recall contract.

    Returns
    -------
    Unfinished
        Holds the parts.
    RunManifest or str
        Manifest of the parts, or the name under which a batch that died had published them.
    """
    for attempt in ways:
        identity = _identity(job, inputs, attempt)
        unfinished = publication.take_up(identity)
        if (name := publication.published(unfinished)) is not None:
            return unfinished, name
        task = Task(inputs.audience, attempt.ranker, job.k, job.style, attempt.audit)
        totals = finish_parts(job, task, unfinished)
        if attempt.keeps(totals.audited):
            proof = attempt.proof(totals.audited, job.k)
            return unfinished, _described(identity, task.audience, totals, proof)
    raise AssertionError  # the last way ranks exactly, which keeps any contract


def _seal(unfinished: Unfinished, manifest: RunManifest) -> None:
    seconds = {phase: round(value, 3) for phase, value in manifest.seconds.items()}
    measured = replace(manifest, seconds=seconds, peak_memory_bytes=peak_memory())
    with storage_errors(unfinished.parts):
        (unfinished.parts / SUCCESS_FILE).touch()
        seal(unfinished.parts, RUN, json_values(measured))


def _identity(job: Job, inputs: Inputs, attempt: Attempt) -> Identity:
    audit = attempt.plan()
    return Identity(
        parameters=Parameters(
            k=job.k,
            shard_users=job.users_a_shard,
            format=job.style.file_format,
            layout=job.style.layout,
            cold_user=job.filters.strangers,
            keep_spaces=job.filters.keep_spaces or None,
            refresh=job.filters.refresh or None,
        ),
        inputs=inputs.digests,
        ncf=metadata.version("ncf"),
        onnxruntime=ort.__version__,
        pyarrow=pa.__version__,
        parts_version=_PARTS_VERSION,
        device=attempt.ranker.device.value,
        mode=attempt.mode,
        width=attempt.width if audit else None,
        audit=audit,
    )


def _described(
    identity: Identity, audience: Audience, totals: Totals, proof: RecallProof | None
) -> RunManifest:
    users = len(audience)
    return RunManifest(
        **vars(identity),
        **vars(audience.counts),
        users=users,
        users_by_policy=dict(totals.users),
        rows=sum(totals.rows.values()),
        rows_by_part=totals.rows,
        parts_reused=totals.reused,
        users_per_second=None if totals.reused else round(users / totals.elapsed, 1),
        recall=proof,
        seconds=totals.seconds,
    )


def _figures(runs: Runs, name: str) -> dict[str, Any]:
    """Read the figures of a published run, in alphabetical order as in the file."""
    manifest = json.loads(canonical_json(json_values(runs.manifest(name))))
    return {key: value for key, value in manifest.items() if key not in _NOT_FIGURES}
