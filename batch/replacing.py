"""Put a plan in its place, give one up for another, and find names for runs."""

import logging

from batch.places import Place
from batch.plans import PLAN_FILE, RECEIPTS, Plan
from batch.runs import held_runs

logger = logging.getLogger(__name__)


def set_up(place: Place, plan: Plan) -> None:
    """Make a plan that of its place; from then on no other one is worked on."""
    place.begin(plan)
    place.write(PLAN_FILE, plan.content())


def give_up(place: Place, plan: Plan) -> None:
    """Remove all of a plan and its earlier tries, but for the run that LATEST names."""
    done = len(place.names(f"{plan.folder}/{RECEIPTS}"))
    logger.warning("giving up plan %s, with %d of %d parts done", plan.folder, done, plan.shards)
    place.delete(PLAN_FILE)
    latest = place.runs.latest_or_none()
    for name in (*plan.earlier, plan.run):
        if name != latest:
            place.remove(name)


def free_name(place: Place, wanted: str, besides: tuple[str, ...] = ()) -> str:
    """Find a name that no run has, whole or not, and that is none of some others."""
    taken, count = {*place.runs.taken(), *held_runs(place.runs).taken(), *besides}, 1
    while (tried := wanted if count == 1 else f"{wanted}-{count}") in taken:
        count += 1
    return tried
