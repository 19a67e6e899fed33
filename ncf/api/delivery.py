"""Push tables to where a shop reads them, and ask what is held there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from batch.push.pushing import Wishes, push_run, roll_back, status
from batch.push.targets import Target, open_target
from batch.reading import Published, find_run
from ncf.api.figures import Figures
from ncf.api.options import Place, folder
from ncf.api.runs import Run
from ncf.errors import UsageError
from ncf.files import storage_errors

PASSWORD = "NCF_PUSH_PASSWORD"  # noqa: S105 - the name of a variable
"""Environment variable with a target's password."""


def push(
    to: str | Target,
    run: Run | Place = "topk",
    *,
    whole: bool = False,
    swap: bool = False,
    dry_run: bool = False,
    rate: float = 0.0,
    password_file: Place | None = None,
) -> Figures:
    """Make a target hold a run: write whose lists changed since the run that it holds.

    Parameters
    ----------
    to : str or Target
        ``postgresql://…?table=NAME``, ``redis://…?prefix=NAME``, ``valkey://…``, ``delta:///…``, a
        URI that an installed package knows, or a target that is open.
    run : Run, str or Path
        A run, its folder or URI, or a folder of runs: its newest.
    whole : bool
        Write all lists, whatever the target holds.
    swap : bool
        Write all lists anew, and put them in the place of the old ones in one step.
    dry_run : bool
        Count, and write nothing.
    rate : float
        Most users to write in a second; 0 for no limit.
    password_file : str or Path, optional
        File with the password; else ``NCF_PUSH_PASSWORD``, or what the client reads by itself.

    Returns
    -------
    Figures
        ``run``, ``before`` (the run that was held), users ``changed``, ``gone`` and ``same``, and
        whether anything was ``pushed``.

    Raises
    ------
    ArtifactError
        The run is damaged, or the target is not as a push left it.
    LockedError
        Another push is going on.
    StorageError
        The target refuses: password, rights, or a table of another kind.
    UnreachableError
        The target does not answer, or is full; the same call goes on.
    UsageError
        The scheme is unknown, or a table has another shape.

    Examples
    --------
    >>> found = ncf.push("delta://lists", run)
    >>> found["changed"], ncf.push("delta://lists", run)["pushed"]
    (40, False)
    """
    if rate < 0:
        raise UsageError(f"`rate` {rate} is less than 0", remedy="give users a second")
    with target_of(to, password_file) as target:
        return Figures(push_run(run_of(run), target, Wishes(whole, swap, dry_run, rate)))


def push_status(to: str | Target, *, password_file: Place | None = None) -> Figures:
    """Say what a target holds.

    Returns
    -------
    Figures
        ``run``, ``model`` (digest of the bundle), ``users``, ``pushed`` (when), ``age_hours``, and
        ``before``, the run that a rollback goes to; ``run`` is None where nothing is held.

    Raises
    ------
    UnreachableError
        The target does not answer.

    Examples
    --------
    >>> found = ncf.push("delta://asked", run)
    >>> ncf.push_status("delta://asked")["users"]
    40
    """
    with target_of(to, password_file) as target:
        return Figures(status(target, datetime.now(UTC)))


def push_rollback(to: str | Target, *, password_file: Place | None = None) -> Figures:
    """Let readers of a target see the version before the present one, where it is still held.

    Returns
    -------
    Figures
        ``run`` and ``users`` of that version.

    Raises
    ------
    ArtifactError
        It is not held any more.
    LockedError
        A push is going on.

    Examples
    --------
    >>> found = ncf.push("delta://back", ncf.batch(bundle, out="earlier", k=2))
    >>> found = ncf.push("delta://back", ncf.batch(bundle, out="later", k=3))
    >>> ncf.push_rollback("delta://back")["run"] == found["before"]
    True
    """
    with target_of(to, password_file) as target:
        return Figures(roll_back(target))


def run_of(run: Run | Place) -> Published:
    """Find a run."""
    place = run.table if isinstance(run, Run) else run
    return find_run(_explicit(place), ".")


@contextmanager
def target_of(to: str | Target, password_file: Place | None = None) -> Iterator[Target]:
    """Open a target, or use one that is open."""
    if not isinstance(to, str):
        yield to
        return
    target = open_target(to, _password(to, password_file))
    try:
        yield target
    finally:
        target.close()


def _password(to: str, file: Place | None) -> str | None:
    if file is not None:
        path = folder(file, "password_file")
        with storage_errors(path):
            return path.read_text(encoding="utf-8").strip()
    return None if to.startswith("delta") else os.environ.get(PASSWORD)


def _explicit(place: Place) -> Place:
    """Read ``topk`` as a folder, where it would be the name of a run."""
    text = str(place)
    return text if "/" in text else f"{Path(text)}/"
