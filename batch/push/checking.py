"""Compare what a target holds with the run that it should hold."""

import math
from typing import Any

import numpy as np
import pyarrow as pa

from batch.push.changes import all_lists
from batch.push.targets import Target
from batch.reading import Published, held
from ncf.columns import Columns
from ncf.errors import ArtifactError
from ncf.progress import report

_REMEDY = "push the run with `whole`"


def check_target(
    run: Published, target: Target, sample: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Read users from a target as readers do, and compare their lists with a run.

    Parameters
    ----------
    run : Published
        The run.
    target : Target
        The target.
    sample : int
        Number of users to compare, spread over all parts; 0 compares all.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    dict
        ``target``, ``run``, ``users`` of the run, and users ``compared``.

    Raises
    ------
    ArtifactError
        The target holds another run, more or fewer users, or another list; the message names it.
    """
    now = target.held().now
    if now is None or now.digest != run.manifest.digest:
        there = "no run" if now is None else f"run {now.run}"
        raise ArtifactError(
            f"holds {there}, not {run.name}", where=target.where, remedy="push the run"
        )
    share = sample / max(1, run.manifest.users) if sample else 1.0
    users, compared = 0, 0
    with held(run), report("verify", run.manifest.users) as reporter:
        for chunk in all_lists(run.source):
            lists = chunk.changed
            users += lists.num_rows
            count = min(lists.num_rows, math.ceil(share * lists.num_rows))
            some = np.sort(rng.permutation(lists.num_rows)[:count])
            _compare(lists.take(pa.array(some)), target)
            compared += count
            reporter.advance(lists.num_rows)
    counted = target.count()
    if counted != users:
        problem = f"holds {counted:,} users, where the run has {users:,}"
        raise ArtifactError(problem, where=target.where, remedy=_REMEDY)
    return {"target": target.where, "run": run.name, "users": users, "compared": compared}


def _compare(lists: pa.Table, target: Target) -> None:
    wanted = {row[Columns.USER_ID]: row for row in lists.to_pylist()}
    found = {row[Columns.USER_ID]: row for row in target.read([*wanted]).to_pylist()}
    for user, row in wanted.items():
        if found.get(user) != row:
            problem = "has another list there" if user in found else "has no list there"
            raise ArtifactError(f"user {user!r} {problem}", where=target.where, remedy=_REMEDY)
