"""Run a batch: read the inputs, finish the parts, seal them, publish the run.

After a crash, the same command continues from the whole parts and ends in the same bytes; with
other inputs it starts over.
"""

import json
import logging
import time
from dataclasses import replace
from datetime import datetime
from importlib import metadata
from typing import Any

import pyarrow as pa

from batch.audience import Audience
from batch.decision import Rankers, decide
from batch.inputs import Inputs, read_inputs, require_unchanged
from batch.job import Job
from batch.manifest import RUN, Decision, Identity, Parameters, RunManifest
from batch.memory import peak_memory
from batch.options import Mode
from batch.parts import Task
from batch.publication import Publication
from batch.recall_contract import Contract
from batch.recall_manifest import RecallProof
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
_PARTS_VERSION = 2  # raised when parts are made in another way


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
    rankers = Rankers.open(job, inputs.audience)  # a missing graph is an error before the lock
    if job.mode is Mode.SCREENED or job.like is not None:
        _decided(job, inputs, rankers, None)  # so is a screen that is not there
    logger.info("scoring %s users on %s", f"{len(inputs.audience):,}", rankers.exact.device.value)
    with publication.writing():
        read = time.monotonic() - started
        decision = _decided(job, inputs, rankers, publication)
        unfinished, found = _finish(job, inputs, rankers, decision, publication)
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


def _decided(
    job: Job, inputs: Inputs, rankers: Rankers, publication: Publication | None
) -> Decision:
    """Decide how to rank; an unfinished run of these inputs has decided already."""
    contract = Contract(job, inputs.audience, inputs.digests)
    if publication is not None and job.mode is Mode.AUTO and job.like is None and rankers.screen:
        for mode in (Mode.EXACT, Mode.SCREENED):
            if publication.is_begun(_identity(job, inputs, rankers, mode)):
                return Decision(mode, "an unfinished run decided so")
    decision = decide(job, inputs.audience, contract, rankers)
    if publication is not None and job.mode is not decision.mode:
        way = "ranking exactly" if decision.mode is Mode.EXACT else "screening"
        logger.info("%s: %s", way, decision.reason)
    return decision


def _finish(
    job: Job, inputs: Inputs, rankers: Rankers, decision: Decision, publication: Publication
) -> tuple[Unfinished, RunManifest | str]:
    """Finish every part: screened if that was decided and keeps the recall contract, else exactly.

    Returns
    -------
    Unfinished
        Holds the parts.
    RunManifest or str
        Manifest of the parts, or the name under which a batch that died had published them.
    """
    started = time.monotonic()
    if decision.mode is Mode.SCREENED:
        done = _screened(job, inputs, rankers, publication)
        if done is not None:
            unfinished, found = done
            if isinstance(found, RunManifest):
                found = replace(found, decision=_kept(decision, started))
            return unfinished, found
        logger.warning("ranking exactly instead")
    identity = _identity(job, inputs, rankers, Mode.EXACT)
    unfinished = publication.take_up(identity)
    if (name := publication.published(unfinished)) is not None:
        return unfinished, name
    task = Task(inputs.audience, rankers.exact, job.k, job.style)
    totals = finish_parts(job, task, unfinished)
    described = _described(identity, task.audience, totals, None)
    return unfinished, replace(described, decision=_kept(decision, started))


def _kept(decision: Decision, started: float) -> Decision:
    """Say what came of an estimate."""
    if decision.exact_seconds is None:
        return decision
    took = round(time.monotonic() - started, 3)
    logger.info("it took %.2g s", took)
    return replace(decision, took_seconds=took)


def _screened(
    job: Job, inputs: Inputs, rankers: Rankers, publication: Publication
) -> tuple[Unfinished, RunManifest | str] | None:
    """Screen and audit, round after round; None if the recall contract cannot be kept so."""
    contract = Contract(job, inputs.audience, inputs.digests)
    rounds, screen = contract.begin(), rankers.screen
    if not rounds or screen is None:
        logger.warning("proving a recall of %s costs as much as it saves", job.recall)
        return None
    identity = _identity(job, inputs, rankers, Mode.SCREENED)
    unfinished = publication.take_up(identity)
    if (name := publication.published(unfinished)) is not None:
        return unfinished, name
    logger.info("screening with %s candidates a user", f"{contract.candidates(1):,}")
    elapsed = 0.0
    while True:
        task = Task(inputs.audience, screen, job.k, job.style, rounds, rankers.rescorer)
        totals = finish_parts(job, task, unfinished)
        totals.elapsed = elapsed = elapsed + totals.elapsed
        if contract.keeps(totals.audited):
            proof = contract.proof(rounds, totals.audited)
            described = _described(identity, task.audience, totals, proof)
            return unfinished, replace(described, width=rounds[-1].width)
        logger.warning("the screen did not prove a recall of %s", job.recall)
        further = contract.after(rounds, totals.audited)
        if further is None:
            return None
        rounds = further


def _seal(unfinished: Unfinished, manifest: RunManifest) -> None:
    seconds = {phase: round(value, 3) for phase, value in manifest.seconds.items()}
    measured = replace(manifest, seconds=seconds, peak_memory_bytes=peak_memory())
    with storage_errors(unfinished.parts):
        (unfinished.parts / SUCCESS_FILE).touch()
        seal(unfinished.parts, RUN, json_values(measured))


def _identity(job: Job, inputs: Inputs, rankers: Rankers, mode: Mode) -> Identity:
    screened = mode is Mode.SCREENED
    audit = Contract(job, inputs.audience, inputs.digests).plan() if screened else None
    return Identity(
        parameters=Parameters(
            k=job.k,
            shard_users=job.users_a_shard,
            format=job.style.file_format,
            layout=job.style.layout,
            cold_user=job.filters.strangers,
            keep_spaces=job.filters.keep_spaces or None,
            refresh=job.filters.refresh or None,
            columns=job.filters.columns or None,
        ),
        inputs=inputs.digests,
        ncf=metadata.version("ncf"),
        onnxruntime=ort.__version__,
        pyarrow=pa.__version__,
        parts_version=_PARTS_VERSION,
        device=rankers.exact.device.value,
        mode=mode,
        width=1.0 if screened else None,
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
