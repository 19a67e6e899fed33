"""Make the job of a batch from the arguments of a call."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from batch.bundles import is_uri
from batch.gates import Gates, read_gates
from batch.job import Job
from batch.metrics import metrics_of
from batch.options import EngineName, Layout, Mode, TableFormat
from batch.tables import Style
from ncf.api.filters import Given, filters_of
from ncf.api.options import Date, Place, chosen, folder, moment
from ncf.data.naming import Given as Columned
from ncf.devices import Device
from ncf.errors import UsageError
from ncf.policies import Strangers

if TYPE_CHECKING:
    from ncf.api.bundles import Bundle

_Record: TypeAlias = Callable[[Mapping[str, Any]], None]
_Files: TypeAlias = tuple[Given, Given, Given, Given, Given]


@contextmanager
def job_of(
    bundle: "Bundle | Place",
    out: Place,
    *,
    ranked: tuple[int, str, str, float, Place | None, Place | None],
    given: _Files,
    wishes: tuple[bool, str | None, Columned, bool],
    style: tuple[str, str],
    machine: tuple[int, int, int, Place | None],
    published: tuple[Place | None, Date | None, bool],
    engine: tuple[str, str | None, float] = ("threads", None, 1800.0),
) -> Iterator[Job]:
    """Check the arguments of :func:`ncf.batch`; files made of frames exist until the block ends.

    Parameters
    ----------
    bundle, out
        As given.
    ranked : tuple
        ``k``, ``device``, ``mode``, ``recall``, ``like`` and ``since``.
    given : tuple
        ``seen``, ``users``, ``exclude_items``, ``candidates`` and ``exclude_pairs``.
    wishes : tuple
        ``refresh``, ``cold_user``, ``columns`` and ``keep_spaces``.
    style : tuple
        ``format`` and ``layout``.
    machine : tuple
        ``shard_users``, ``workers``, ``keep`` and ``work``.
    published : tuple
        ``gate``, ``date`` and ``report``.
    engine : tuple
        ``engine``, ``address`` and ``patience``.

    Raises
    ------
    UsageError
        An option is out of range.
    RatingsError
        A frame or id cannot be read.
    """
    out_given(out)
    k, device, mode, recall, like, since = ranked
    refresh, cold_user, columns, keep_spaces = wishes
    shard_users, workers, keep, work = machine
    gate, date, report = published
    parts = Style(chosen(TableFormat, style[0], "format"), chosen(Layout, style[1], "layout"))
    strangers = None if cold_user is None else chosen(Strangers, cold_user, "cold_user")
    place = chosen(Device, device, "device")
    gates = gates_of(gate)
    aside = None if work is None else folder(work, "work")
    with filters_of(
        *given, strangers=strangers, keep_spaces=keep_spaces, refresh=refresh, columns=columns
    ) as filters:
        yield Job(
            bundle_place(bundle),
            out,
            k,
            place,
            shard_users,
            workers,
            filters=filters,
            style=parts,
            keep=keep,
            work=aside,
            mode=chosen(Mode, mode, "mode"),
            recall=recall,
            like=None if like is None else str(like),
            since=None if since is None else str(since),
            gates=gates,
            date=None if date is None else moment(date, "date"),
            report=report,
            engine=chosen(EngineName, engine[0], "engine"),
            address=engine[1] or "",
            patience=engine[2],
        )


def metrics_to(metrics_file: Place | None) -> AbstractContextManager[_Record]:
    """Write figures to a file of metrics, if one is given; see :func:`batch.metrics.metrics_of`."""
    return metrics_of(None if metrics_file is None else folder(metrics_file, "metrics_file"))


def gates_of(gate: Place | None) -> Gates:
    """Read a file of gates; none if none is given."""
    return () if gate is None else read_gates(folder(gate, "gate"))


def out_given(out: Place) -> Place:
    """Refuse an empty ``out``."""
    if not str(out):
        raise UsageError("`out` is empty", remedy="give a folder, or leave it out for 'topk'")
    return out


def bundle_place(bundle: "Bundle | Place") -> Place:
    """Find the folder of an open bundle, or return a given folder or URI."""
    given = getattr(bundle, "path", bundle)
    return given if isinstance(given, str) and is_uri(given) else folder(given, "bundle")


def bundle_folder(bundle: "Bundle | Place") -> Path:
    """Find the folder of an open bundle, or return a given folder as a path."""
    return folder(getattr(bundle, "path", bundle), "bundle")
