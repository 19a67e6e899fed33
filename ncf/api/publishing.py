"""Point to another table by hand, and the gates that a table must pass."""

from batch.gates import DEFAULT
from batch.places import open_place
from batch.pointer import publish_by_hand, roll_back
from ncf.api.jobs import out_given
from ncf.api.options import Place, folder


def publish(run: str, out: Place = "topk", *, work: Place | None = None) -> str:
    """Make ``LATEST`` name a run after all: one that was set aside, or an older one.

    Every file of it is checked first.

    Parameters
    ----------
    run : str
        Name of the run.
    out : str or Path
        The ``out`` that :func:`ncf.batch` was given.
    work : str or Path, optional
        Folder of this machine's lock for an object store.

    Returns
    -------
    str
        Name of the run.

    Raises
    ------
    ArtifactError
        There is no such run, or it is damaged.
    LockedError
        A batch writes here.

    Examples
    --------
    >>> ncf.publish(run.name) == run.name
    True
    """
    place = open_place(out_given(out), None if work is None else folder(work, "work"))
    place.runs.latest()  # an error before the lock, which would make the folder
    with place.coordinating():
        publish_by_hand(place, run)
    return run


def rollback(out: Place = "topk", *, work: Place | None = None) -> str:
    """Make ``LATEST`` name the run that it named before; once more goes back further.

    Every file of it is checked first. The run that is left stays where it is.

    Parameters
    ----------
    out : str or Path
        The ``out`` that :func:`ncf.batch` was given.
    work : str or Path, optional
        Folder of this machine's lock for an object store.

    Returns
    -------
    str
        Name of the run.

    Raises
    ------
    ArtifactError
        There is none to go back to, or it is damaged.
    LockedError
        A batch writes here.

    Examples
    --------
    >>> first = ncf.batch(bundle, out="back", k=2)
    >>> second = ncf.batch(bundle, out="back", k=3)
    >>> ncf.rollback("back") == first.name
    True
    """
    place = open_place(out_given(out), None if work is None else folder(work, "work"))
    place.runs.latest()  # as above
    with place.coordinating():
        return roll_back(place)


def default_gates() -> str:
    """Give a file of gates with comments, to be saved and changed.

    Examples
    --------
    >>> print(ncf.default_gates().splitlines()[0])
    # Gates of a table: a run that fails one of them is set aside, and LATEST stays.
    """
    return DEFAULT
