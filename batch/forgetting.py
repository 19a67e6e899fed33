"""Find a user in published tables, and remove old ones that hold them."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.compute as pc

from batch.places import Place, current_plan
from batch.reading import Published, published
from batch.runs import HELD, Runs, held_runs
from ncf.columns import Columns
from ncf.errors import ArtifactError
from ncf.progress import report


@dataclass(frozen=True)
class Holding:
    """A run that holds a user.

    Parameters
    ----------
    run : Published
        The run.
    rows : int
        Rows of the user.
    latest : bool
        Whether LATEST names it.
    """

    run: Published
    rows: int
    latest: bool


def holdings(place: Place, user: str) -> Iterator[Holding]:
    """Find the runs of a place that hold a user, those that were set aside too.

    Raises
    ------
    ArtifactError
        A run is damaged.
    """
    latest = place.runs.latest_or_none()
    names = [(runs, name) for runs in _both(place.runs) for name in runs.names()]
    with report("look into runs", len(names)) as reporter:
        for runs, name in names:
            run = published(runs, name)
            if rows := _rows(run, user):
                yield Holding(run, rows, latest=name == latest and runs is place.runs)
            reporter.advance()


def remove_run(place: Place, holding: Holding) -> bool:
    """Remove an old run; whether it is gone. The caller holds the lock."""
    name = holding.run.name
    held = holding.run.runs.root.endswith(f"/{HELD}")
    place.remove(f"{HELD}/{name}" if held else name)
    return name not in holding.run.runs.names()


def has_unfinished(place: Place) -> bool:
    """Whether there is an unfinished run, which may hold anybody."""
    try:
        return current_plan(place) is not None
    except ArtifactError:
        return True


def _both(runs: Runs) -> tuple[Runs, Runs]:
    return runs, held_runs(runs)


def _rows(run: Published, user: str) -> int:
    return sum(
        int(pc.sum(pc.equal(table[Columns.USER_ID], user)).as_py() or 0)
        for table in run.source.tables()
    )
