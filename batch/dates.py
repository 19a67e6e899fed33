"""Runs of a logical date: the night that a run is of, whenever it is made.

The name of such a run begins with its date instead of the present moment, so that it is found by
name. Dates are compared with one another; a run without one counts as of the day it was made.
"""

import logging
from datetime import UTC, datetime
from functools import partial

from batch.places import Place, current_plan
from batch.reading import Published, newest, published
from batch.runs import DAY_LENGTH, Runs
from ncf.errors import ArtifactError, DateTakenError

logger = logging.getLogger(__name__)

_MOMENT = len("20261126T030000Z")


def written(date: datetime) -> str:
    """Write a date as manifests have it.

    Examples
    --------
    >>> written(datetime(2026, 11, 26, tzinfo=UTC)), written(datetime(2026, 11, 26, 6, tzinfo=UTC))
    ('2026-11-26', '2026-11-26T06:00:00Z')
    """
    moment = f"{date.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return moment.removesuffix("T00:00:00Z")


def stamp(moment: datetime) -> str:
    """Write the moment that the name of a run begins with."""
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def run_of_date(place: Place, date: datetime) -> str | None:
    """Find the run of a date that was published; an unfinished one is none.

    A batch may have died after its run appeared and before LATEST named it: then its plan is still
    there, and the same batch again has to end it.

    Raises
    ------
    ArtifactError
        A manifest is damaged.
    """
    there = [name for name in place.runs.names() if name.startswith(stamp(date))]
    found = [name for name in there if date_of(place.runs, name) == written(date)]
    if not found:
        return None
    plan = _plan_here(place)
    return next((name for name in reversed(found) if name != plan), None)


def require_new(place: Place, date: datetime | None) -> None:
    """Refuse to make a run of a date again.

    Raises
    ------
    DateTakenError
        A run of the date was published.
    """
    there = None if date is None else run_of_date(place, date)
    if date is not None and there is not None:
        raise DateTakenError(
            f"run {there} of {written(date)} is there already, and nothing is made",
            there,
            where=place.runs.address("").rstrip("/"),
        )


def date_of(runs: Runs, name: str) -> str | None:
    """Read the date of a run; None if it was given none."""
    return runs.manifest(name).parameters.date


def is_backfill(runs: Runs, name: str, date: str | None) -> bool:
    """Whether LATEST names a run of a later date, or day, than a run.

    Parameters
    ----------
    runs : Runs
        The runs of a place.
    name, date : str
        The run's name and date; a run without a date is never a backfill.
    """
    latest = runs.latest_or_none()
    if date is None or latest is None or latest == name:
        return False
    try:
        dated = date_of(runs, latest) is not None
    except ArtifactError as error:
        logger.warning("%s; its day is taken from its name", error)
        dated = False
    length = _MOMENT if dated else DAY_LENGTH
    return name[:length] < latest[:length]


def same_night(one: Published, name: str, date: str | None) -> bool:
    """Whether a published run and another one are of one day, and not two dates of that day."""
    if date is not None and one.manifest.parameters.date is not None:
        return False
    return one.name[:DAY_LENGTH] == name[:DAY_LENGTH]


def baseline(runs: Runs, name: str, date: str | None) -> Published | None:
    """Find the run to compare a new one with.

    It is the run that LATEST names; for a backfill, the last of an earlier day or date. None if
    there is none.

    Raises
    ------
    ArtifactError
        It is damaged.
    """
    if not is_backfill(runs, name, date):
        return newest(runs)
    earlier = [each for each in runs.names() if each[:_MOMENT] < name[:_MOMENT]]
    order = partial(_by_moment, runs)
    return published(runs, max(earlier, key=order)) if earlier else None


def _by_moment(runs: Runs, name: str) -> tuple[str, int]:
    return name[:_MOMENT], runs.sequence(name)


def _plan_here(place: Place) -> str | None:
    """Name the run of the plan that is there; a damaged one has none."""
    try:
        plan = current_plan(place)
    except ArtifactError:
        return None
    return None if plan is None else plan.run
