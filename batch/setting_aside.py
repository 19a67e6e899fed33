"""Set aside the run of a plan that failed a gate, and say so."""

import json
import logging

from batch.gates import Gate
from batch.places import Place
from batch.plans import Plan
from batch.reading import Source
from batch.runs import GATES_FILE, HELD, held_runs
from batch.stores import storage_access
from batch.tally import Tally
from ncf.errors import GateError

logger = logging.getLogger(__name__)


def is_held(place: Place, plan: Plan) -> bool:
    """Whether the run of a plan was set aside, whole."""
    return plan.run in held_runs(place.runs).names()


def unfinished(place: Place, plan: Plan, total: Tally) -> Source:
    """Give the lists of a plan's parts."""
    asked = plan.asked.parameters
    where = f"{place.runs.root}, plan {plan.folder}"
    return Source(
        asked.k,
        asked.style,
        total.rows,
        total.digests,
        lambda part: place.open_part(plan, part),
        where,
    )


def set_aside(place: Place, run: str) -> GateError:
    """Say that a run was set aside, with a log line for each gate that it failed."""
    aside = held_runs(place.runs)
    path = f"{aside.root}/{run}/{GATES_FILE}"
    with storage_access(path), aside.system.open_input_stream(path) as file:
        verdict = json.loads(file.read())
    return failed(f"{aside.root}/{run}", verdict, aside=True)


def failed(where: str, verdict: dict[str, object], *, aside: bool = False) -> GateError:
    """Make the error of a run that failed gates, with a log line for each of them."""
    gates = verdict["gates"]
    assert isinstance(gates, list)  # noqa: S101 - written by Verdict
    wrong = [each for each in gates if not each["passed"]]
    for each in wrong:
        gate = Gate(each["section"], each["figure"], each["least"], each["most"])
        logger.warning("gate failed: %s", gate.said(each["value"]))
    count = f"{len(wrong)} of {len(gates)} gates"
    name = where.rpartition("/")[2]
    if not aside:
        return GateError(f"failed {count}", where=where, remedy="'ncf diff' shows what changed")
    return GateError(
        f"failed {count}; the run is set aside in {HELD}, and LATEST is as it was",
        where=where,
        remedy=f"look at it with 'ncf diff', then 'ncf batch publish {name}', or correct the input",
    )
