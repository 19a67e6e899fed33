"""The order in which runs were published, so that somebody can go back.

``_history`` names the runs that ``LATEST`` has named, one a line. It is written before ``LATEST``,
so that its entries up to that of ``LATEST`` are right whenever a writer dies.
"""

import re
from contextlib import suppress
from pathlib import Path

from batch.places import Place
from batch.reading import Published, checked, published
from batch.runs import HELD, HISTORY_FILE, LATEST_FILE, RUN_NAME, Runs, held_runs, open_runs
from batch.stores import storage_access
from ncf.errors import ArtifactError

_LONGEST = 1000  # runs that are remembered


def read_history(runs: Runs) -> list[str]:
    """Read the runs that LATEST has named, up to the one that it names now."""
    names: list[str] = []
    path = f"{runs.root}/{HISTORY_FILE}"
    with (
        suppress(FileNotFoundError),
        storage_access(runs.root),
        runs.system.open_input_stream(path) as file,
    ):
        names = re.findall(rf"^{RUN_NAME}$", file.read().decode(errors="replace"), re.MULTILINE)
    latest = runs.latest_or_none()
    if latest in names:
        return names[: len(names) - names[::-1].index(latest)]
    # Of before there was a history, or LATEST was written by hand.
    older = sorted(runs.names(), key=lambda name: (runs.sequence(name), name))
    return [*older[: older.index(latest)], latest] if latest in older else []


def point(place: Place, name: str) -> None:
    """Make LATEST name a run, in one step; the run that it named before can be gone back to."""
    names = read_history(place.runs)
    if names[-1:] != [name]:
        names.append(name)
    place.replace(HISTORY_FILE, _lines(names))
    place.replace(LATEST_FILE, _lines([name]))


def publish_by_hand(place: Place, name: str) -> None:
    """Make LATEST name a run, which may have been set aside; the caller holds the lock.

    Raises
    ------
    ArtifactError
        There is no such run, or a file of it is damaged.
    """
    runs, aside = place.runs, held_runs(place.runs)
    if name in runs.names():
        require_sound(runs, name)
    elif name in aside.names():
        require_sound(aside, name)
        place.release(name)
    else:
        raise ArtifactError(
            f"run {name} is not here", where=runs.root, remedy="give the name of a run in `out`"
        )
    point(place, name)
    if name in aside.names():  # of one that died while it copied
        place.remove(f"{HELD}/{name}")


def roll_back(place: Place) -> str:
    """Make LATEST name the run that it named before, and give its name; the caller holds the lock.

    Raises
    ------
    ArtifactError
        There is none, or it is damaged.
    """
    names, there = read_history(place.runs), set(place.runs.names())
    before = next((at for at in reversed(range(len(names) - 1)) if names[at] in there), None)
    if before is None:
        raise ArtifactError(
            "there is no run to go back to",
            where=place.runs.root,
            remedy="publish a run with 'ncf batch publish RUN'",
        )
    require_sound(place.runs, names[before])
    # LATEST first: if this dies between, the history still has all that LATEST named.
    place.replace(LATEST_FILE, _lines([names[before]]))
    place.replace(HISTORY_FILE, _lines(names[: before + 1]))
    return names[before]


def require_sound(runs: Runs, name: str) -> None:
    """Check every file of a run.

    Raises
    ------
    ArtifactError
        One is missing or damaged.
    """
    for file, digest in runs.manifest(name).files.items():
        try:
            with (
                storage_access(runs.root),
                runs.system.open_input_stream(f"{runs.root}/{name}/{file}") as stream,
            ):
                checked(stream, file, digest)
        except (FileNotFoundError, ValueError) as error:
            raise ArtifactError(
                f"run {name} is damaged ({error})", where=runs.root, remedy="publish another run"
            ) from error


def newest_two(out: str | Path) -> tuple[Published, Published]:
    """Find the run that LATEST named before and the one that it names, or else the newest two.

    Raises
    ------
    ArtifactError
        There are not two.
    """
    runs = open_runs(out)
    before = run_before(runs)
    if before is not None:
        return published(runs, before), published(runs, runs.latest())
    names = sorted(runs.names(), key=lambda name: (runs.sequence(name), name))
    if len(names) < 2:
        raise ArtifactError(
            f"has {len(names)} of the two runs to compare",
            where=out,
            remedy="publish another with 'ncf batch', or give two runs",
        )
    return published(runs, names[-2]), published(runs, names[-1])


def run_before(runs: Runs) -> str | None:
    """Name the run that LATEST named before, of those that are still there; None if none is."""
    there, names = set(runs.names()), read_history(runs)
    return next((name for name in reversed(names[:-1]) if name in there), None)


def _lines(names: list[str]) -> bytes:
    return "".join(f"{name}\n" for name in names[-_LONGEST:]).encode()
