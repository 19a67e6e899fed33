"""Batches in pieces, for tests: plans, work in any order, and what a place then holds."""

from datetime import UTC, datetime
from typing import Any

from pyarrow import fs

from batch.job import Job
from batch.pieces import commit_batch, planned
from batch.pipeline import plan_batch
from batch.places import open_place
from batch.plans import Plan
from batch.runs import open_runs
from batch.sessions import work
from ncf.errors import NotProvenError
from ncf.records import json_values

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
MEASURED = {"digest", "hosts", "peak_memory_bytes", "seconds", "users_per_second"}


def parts(out: str, name: str) -> dict[str, bytes]:
    """Read the bytes of a run's parts."""
    runs = open_runs(out)
    found = {}
    for part in runs.manifest(name).rows_by_part:
        with runs.system.open_input_stream(f"{runs.root}/{name}/{part}") as stream:
            found[part] = stream.read()
    return found


def facts(out: str, name: str) -> dict[str, Any]:
    """Read the manifest of a run, without what differs from machine to machine."""
    manifest = json_values(open_runs(out).manifest(name))
    return {key: value for key, value in manifest.items() if key not in MEASURED}


def in_pieces(job: Job, *, shuffled: bool = False) -> dict[str, Any]:
    """Plan, work and commit, try after try; backwards and twice over if shuffled."""
    plan = plan_batch(job, NOW)
    while True:
        numbers = list(range(plan.shards))
        for number in [*reversed(numbers), *numbers[::2]] if shuffled else numbers:
            work(plan, number, job.out)
        try:
            return commit_batch(job.out)
        except NotProvenError:
            plan = current(str(job.out))


def current(out: str) -> Plan:
    """Read the plan of a place."""
    return planned(open_place(out))


def unfinished(out: str) -> list[str]:
    """List what lies in the folder that planners and workers share."""
    runs = open_runs(out)
    selector = fs.FileSelector(f"{runs.root}/.ncf-batch", recursive=True, allow_not_found=True)
    return sorted(each.path for each in runs.system.get_file_info(selector) if each.is_file)
