"""Forget a person: find what holds them, and remove it where that takes no training."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from batch.copies import copies, remove_copy
from batch.forgetting import has_unfinished, holdings, remove_run
from batch.places import open_place
from batch.push.targets import Target
from ncf.api.delivery import target_of
from ncf.api.options import Place, folder
from ncf.artifacts import open_sealed
from ncf.columns import Columns
from ncf.data.prepared import USERS_FILE, open_data
from ncf.data.tables import read_id_table
from ncf.errors import ArtifactError, LockedError, UsageError
from ncf.extras import needed_by
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.training.manifest import CHECKPOINT

if TYPE_CHECKING:
    import pandas as pd


class Holder(NamedTuple):
    """Something that holds a person.

    Parameters
    ----------
    holder : str
        What and where.
    holds : str
        What it holds of the person.
    removed : bool
        Whether that was removed by this call.
    left : str
        What is left, and until when; empty if nothing is.
    """

    holder: str
    holds: str
    removed: bool
    left: str


class Forgotten(list[Holder]):
    """What holds a person, one holder after another."""

    def frame(self) -> "pd.DataFrame":
        """Give the holders as a frame: ``holder``, ``holds``, ``removed``, ``left``."""
        import pandas as pd

        return pd.DataFrame(list(self), columns=list(Holder._fields))


def forget(
    user: str,
    *,
    data: Place | None = None,
    checkpoint: Place | None = None,
    bundle: Place | None = None,
    out: Place | None = None,
    to: str | Target | Sequence[str | Target] = (),
    remove: bool = False,
    password_file: Place | None = None,
) -> Forgotten:
    """Find what holds a user, and with ``remove`` remove it where that takes no training.

    Targets lose the user's lists. A bundle is made anew without their id, row, embedding and
    history, and its archive with it; other lists stay as they are. Old runs that hold them are
    removed; the run that ``LATEST`` names stays, until the next batch of the new bundle. Your
    copies of bundles behind URIs on this machine (``~/.cache/ncf``, or ``NCF_CACHE``) are always
    looked into, and removed; a batch that has opened one must not run meanwhile.

    Parameters
    ----------
    user : str
        Raw id.
    data : str or Path, optional
        Folder from :func:`ncf.prepare`.
    checkpoint : str or Path, optional
        Folder from :func:`ncf.train`.
    bundle : str or Path, optional
        Folder from :func:`ncf.export`.
    out : str or Path, optional
        The ``out`` that :func:`ncf.batch` was given.
    to : str, Target or sequence of these
        What was pushed to, as for :func:`ncf.push`.
    remove : bool
        Remove what can be removed; else only say what there is.
    password_file : str or Path, optional
        File with the password of the targets.

    Returns
    -------
    Forgotten
        The holders, and what is left in each.

    Raises
    ------
    ArtifactError
        A folder is damaged.
    LockedError
        A batch, an export or a push writes there.
    UsageError
        Nothing to look into is given.

    Examples
    --------
    >>> run = ncf.batch(bundle, out="people", k=2)
    >>> held = ncf.forget("u3", bundle=bundle.path, out="people")
    >>> [(each.holds, each.removed) for each in held]
    [('id, row, embedding and 11 pairs', False), ('2 rows', False)]
    """
    targets = [to] if isinstance(to, str) or not isinstance(to, Sequence) else [*to]
    if not targets and all(each is None for each in (data, checkpoint, bundle, out)):
        raise UsageError(
            "nothing to look into is given",
            remedy="give `data`, `checkpoint`, `bundle`, `out` or `to`",
        )
    found = Forgotten()
    for each in targets:
        found += _of_target(user, each, password_file, remove=remove)
    if bundle is not None:
        found += _of_bundle(user, folder(bundle, "bundle"), remove=remove)
    found += _of_copies(user, remove=remove)
    if out is not None:
        found += _of_runs(user, out, remove=remove)
    if checkpoint is not None:
        found += _of_checkpoint(user, folder(checkpoint, "checkpoint"))
    if data is not None:
        found += _of_data(user, folder(data, "data"))
    return found


def _of_target(
    user: str, to: str | Target, password_file: Place | None, *, remove: bool
) -> Iterator[Holder]:
    with target_of(to, password_file) as target:
        if target.held().now is None:
            return
        rows, there = target.read([user]).num_rows, f"target {target.where}"
        if remove:
            with target.locked():
                gone = target.forget(user)
            kept = "versions of before, until VACUUM" if to_delta(target) else ""
            if gone or rows:
                yield Holder(there, "a list", removed=True, left=kept)
        elif rows:
            yield Holder(there, "a list", removed=False, left="can be removed")


def to_delta(target: Target) -> bool:
    """Whether a target keeps old versions in its files."""
    return target.where.startswith("delta")


def _of_bundle(user: str, path: Path, *, remove: bool) -> Iterator[Holder]:
    opened = open_bundle(path)
    index = opened.users.index(user)
    if index is None:
        return
    holds = _held(opened, index)
    left = "what items learned from the pairs, until a training without them"
    if not remove:
        yield Holder(f"bundle {path}", holds, removed=False, left=f"can be removed, but {left}")
        return
    with needed_by("ncf.forget"):
        from export.forgetting import Forgetting, write_without
        from export.swap import publish_folder
    write = partial(write_without, Forgetting(opened, index), name=path.name)
    publish_folder(write, path.parent, path.name, "1.0")
    yield Holder(f"bundle {path}", holds, removed=True, left=left)


def _of_copies(user: str, *, remove: bool) -> Iterator[Holder]:
    """Look into this user's copies of bundles on this machine."""
    for path in copies():
        holds, removed = _in_copy(path, user), False
        if not holds:
            continue
        left = "" if remove else "can be removed, but "
        if remove:
            try:
                remove_copy(path)
                removed = True
            except LockedError:
                left = "until you call this again: another process is making it; "
        left += "the bundle behind its URI stays, and copies on other machines"
        yield Holder(f"copy {path}", holds, removed=removed, left=left)


def _in_copy(path: Path, user: str) -> str:
    """Say what a copy holds of a user; one that cannot be read may hold anybody."""
    try:
        opened = open_bundle(path)
        index = opened.users.index(user)
        return "" if index is None else _held(opened, index)
    except (ArtifactError, FileNotFoundError):
        gone = path not in copies()
        return "" if gone else "maybe what its bundle holds: it cannot be read"


def _held(bundle: Bundle, index: int) -> str:
    return f"id, row, embedding and {bundle.seen.of(index).size:,} pairs"


def _of_runs(user: str, out: Place, *, remove: bool) -> Iterator[Holder]:
    place = open_place(out)
    place.runs.latest()  # an error before the lock, which would make the folder
    if not remove:
        for each in holdings(place, user):
            left = "until the next batch" if each.latest else "can be removed"
            yield Holder(f"run {each.run.address}", f"{each.rows:,} rows", removed=False, left=left)
    else:
        with place.coordinating():
            for each in list(holdings(place, user)):
                gone = not each.latest and remove_run(place, each)
                left = "" if gone else "until it can be removed: somebody reads it"
                left = "LATEST names it: until the next batch" if each.latest else left
                run = f"run {each.run.address}"
                yield Holder(run, f"{each.rows:,} rows", removed=gone, left=left)
    if has_unfinished(place):
        left = "until it is committed or given up"
        yield Holder(f"unfinished run in {out}", "maybe pairs and a list", removed=False, left=left)


def _of_checkpoint(user: str, path: Path) -> Iterator[Holder]:
    open_sealed(path, CHECKPOINT)
    if read_id_table(path / USERS_FILE, Columns.USER_ID).index(user) is not None:
        left = "until a training on data without them"
        yield Holder(f"checkpoint {path}", "id and embeddings", removed=False, left=left)


def _of_data(user: str, path: Path) -> Iterator[Holder]:
    data = open_data(path)
    index = data.users.index(user)
    if index is not None:
        count = int((data.interactions().users == index).sum())
        left = "until 'ncf data prepare' runs on a file without them"
        yield Holder(f"data {path}", f"id and {count:,} interactions", removed=False, left=left)
