"""Remove what a committed plan leaves behind, and old runs."""

import logging

from batch.places import Place
from batch.plans import Plan
from batch.pointer import read_history
from batch.runs import HELD, held_runs
from ncf.errors import NcfError

logger = logging.getLogger(__name__)


def tidy(place: Place, plan: Plan, before: str | None, keep: int) -> None:
    """Remove the plan, what earlier tries left, and all but the ``keep`` newest runs.

    Counted first are the run that LATEST names, this one, the one that LATEST named before, which
    an operator may have gone back to, and those before that; then others, which are backfills and
    runs that somebody went back from, by order of publishing. As the table is published, an error
    here is only a warning.

    Parameters
    ----------
    place : Place
        Where the run was published, or set aside.
    plan : Plan
        Its plan.
    before : str or None
        The run that LATEST named when the commit began.
    keep : int
        Number of runs to keep; 0 keeps all, and so does a backfill.
    """
    runs = place.runs
    try:
        for name in plan.earlier:
            place.remove(name)
        place.clear()
        latest, names = runs.latest_or_none(), set(runs.names())
        backfilled = plan.run in names and plan.run != latest
        if not keep or backfilled:
            return
        named = [latest, plan.run, before, *reversed(read_history(runs))]
        first = [each for each in dict.fromkeys(named) if each in names]
        others = sorted(names.difference(first), key=runs.sequence, reverse=True)
        unfinished = sorted(set(runs.taken()) - names)  # no runs: the first to go
        for old in [*[*first, *others][keep:], *unfinished]:
            if old is not None:
                place.remove(old)
        aside = held_runs(runs)
        for old in sorted(aside.names(), key=aside.sequence, reverse=True)[keep:]:
            place.remove(f"{HELD}/{old}")
    except (NcfError, OSError) as error:
        logger.warning("the table is published, but an old file could not be removed: %s", error)
