"""Publish a table of every user's top-K list, and read tables."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from batch.addresses import within
from batch.pipeline import run_batch
from batch.published import read_latest as read_newest
from batch.published import read_run
from batch.runs import local_copy
from ncf.api.figures import Figures
from ncf.api.filters import Given
from ncf.api.jobs import job_of, metrics_to
from ncf.api.options import Date, Place
from ncf.data.naming import Given as Columned

if TYPE_CHECKING:
    import pandas as pd

    from ncf.api.bundles import Bundle


class Run:
    """A run: the published table of one batch.

    Parameters
    ----------
    figures : mapping
        Figures from :func:`ncf.batch`: ``run`` and ``table`` (name and place), counts, seconds.
    out : str or Path, optional
        The ``out`` that it was given: a URI with its options and credentials, which figures do
        not show.

    Examples
    --------
    >>> run.figures["users"], run.figures["rows"]
    (40, 80)
    >>> run.frame().columns.tolist()
    ['user_id', 'rank', 'item_id', 'score', 'policy']
    """

    def __init__(self, figures: Mapping[str, Any], out: Place | None = None) -> None:
        self.figures = Figures(figures)
        self._out = None if out is None else str(out)

    def __repr__(self) -> str:
        found = self.figures
        return f"Run({found['table']!r}: {found['users']:,} users, {found['rows']:,} rows)"

    @property
    def name(self) -> str:
        """Name of the run."""
        return str(self.figures["run"])

    @property
    def table(self) -> str:
        """Place of the table: a folder, or a URI."""
        shown = str(self.figures["table"])
        if self._out is None or "://" not in shown:
            return shown
        return within(self._out, self.name)

    def frame(self) -> "pd.DataFrame":
        """Read the table: ``user_id``, ``rank``, ``item_id``, ``score`` (logit), ``policy``."""
        with local_copy(self.table) as copy:
            return read_run(copy).reset_index(drop=True)


def batch(
    bundle: "Bundle | Place",
    *,
    out: Place = "topk",
    k: int = 10,
    device: str = "auto",
    mode: str = "auto",
    recall: float = 0.999,
    like: Place | None = None,
    since: Place | None = None,
    seen: Given = None,
    users: Given = None,
    exclude_items: Given = None,
    candidates: Given = None,
    exclude_pairs: Given = None,
    refresh: bool = False,
    cold_user: str | None = None,
    columns: Columned = None,
    keep_spaces: bool = False,
    format: str = "parquet",
    layout: str = "long",
    keep: int = 0,
    shard_users: int = 10_000,
    workers: int = 0,
    work: Place | None = None,
    metrics_file: Place | None = None,
    gate: Place | None = None,
    date: Date | None = None,
    report: bool = True,
    engine: str = "threads",
    address: str | None = None,
    patience: float = 1800.0,
) -> Run:
    """Score every user against every item they may get, and publish one table.

    Parameters
    ----------
    bundle : Bundle, str or Path
        Bundle from :func:`ncf.export`, its folder, or a URI such as ``s3://bucket/ncf``, which is
        copied to a cache of this machine (``~/.cache/ncf``, or ``NCF_CACHE``).
    out : str or Path
        Folder of all runs, or a URI such as ``s3://bucket/topk``.
    k : int
        Largest number of items for each user.
    device : {"auto", "cpu", "cuda"}
        Device that computes.
    mode : {"auto", "exact", "screened"}
        Rank exactly, screen, or (auto) screen where that is faster.
    recall : float
        Least recall, in (0, 1), that a screened table must prove.
    like : str or Path, optional
        A run, such as ``topk/RUN``, whose choice to screen ``auto`` follows, so that the table has
        the same bytes on another machine.
    since : str or Path, optional
        A run (name, path, URI, or ``latest``), whose lists are taken over where ranking would give
        them again; ``auto`` ranks as it did. The table has the same bytes as without.
    seen : file or frame, optional
        Interactions since the export: what somebody took. Strangers get lists by theirs, where
        the bundle folds in and they are long enough.
    users : file, frame or ids, optional
        The only users who get a list.
    exclude_items : file, frame or ids, optional
        Items that nobody gets.
    candidates : file, frame or ids, optional
        The only items that may be listed.
    exclude_pairs : file or frame, optional
        Pairs of a user and an item that this user does not get, though they did not take it.
    refresh : bool
        Move the rows of trained users along with their interactions in ``seen``.
    cold_user : {"popular", "skip"}, optional
        What strangers without a list of their own get; if not given, as exported.
    columns : str or mapping, optional
        Columns of all these files and frames that have names of their own, as for
        :func:`ncf.prepare`: ``"user=reviewerID,item=asin"``.
    keep_spaces : bool
        Keep spaces around ids of text files, which are trimmed otherwise.
    format : {"parquet", "csv"}
        File format of the parts.
    layout : {"long", "list"}
        A row for each item, or a row with lists for each user.
    keep : int
        Number of runs to keep, with the new one; 0 keeps all.
    shard_users : int
        Number of users in a part.
    workers : int
        Threads that score; 0 takes all cores. With a cluster, threads of each of its tasks; 0
        takes one, or four on CUDA.
    work : str or Path, optional
        Folder of this machine's lock for an object store.
    metrics_file : str or Path, optional
        File for figures in Prometheus' text format.
    gate : str or Path, optional
        File of gates, as :func:`ncf.default_gates` has it: a run that fails one is set aside.
    date : str, date or datetime, optional
        Logical date that the run is of, such as ``"2026-11-26"``, in UTC: if a run of it is there,
        nothing is made, and that run is returned. ``LATEST`` never goes from a later date to it.
    report : bool
        Put a page for people into the run, ``_report.html``: why it passed, what changed, and a
        sample of users with ids, histories and lists.
    engine : {"threads", "ray"}
        What makes the parts: threads of this process, or tasks of a cluster, whose nodes must
        reach ``out`` and the bundle under the same names. The table has the same bytes.
    address : str, optional
        Address of the cluster, such as ``"ray-head:6379"``; if not
        given, one of its own on this machine, which ends with the call.
    patience : float
        Seconds without a new part after which a cluster is given up.

    Raises
    ------
    ArtifactError
        The bundle is damaged, or an input changed while it was read.
    RatingsError
        A file, frame or id cannot be read.
    UsageError
        An option is out of range, or no user or no item is left.
    LockedError
        Another batch writes here.
    StorageError
        The output cannot be written.
    InterruptedWorkError
        Ctrl-C was pressed; finished parts are kept, and the same call continues from them.
    ConfigError
        The file of gates names a figure that there is not.
    GateError
        The run failed a gate: it is whole, and set aside; what was published before stays.
    CapabilityError
        The package of the engine is not installed.
    UnreachableError
        The cluster cannot be reached, or gave no part for too long; finished parts are kept.

    Examples
    --------
    >>> run = ncf.batch(bundle, out="few", k=3, users=["u1", "u2"])
    >>> run.frame().groupby("user_id").size().to_dict()
    {'u1': 3, 'u2': 3}
    """
    with (
        metrics_to(metrics_file) as record,
        job_of(
            bundle,
            out,
            ranked=(k, device, mode, recall, like, since),
            given=(seen, users, exclude_items, candidates, exclude_pairs),
            wishes=(refresh, cold_user, columns, keep_spaces),
            style=(format, layout),
            machine=(shard_users, workers, keep, work),
            published=(gate, date, report),
            engine=(engine, address, patience),
        ) as job,
    ):
        figures = run_batch(job, datetime.now(UTC))
        record(figures)
    return Run(figures, out)


def read_latest(out: Place = "topk") -> "pd.DataFrame":
    """Read the newest complete run: ``user_id``, ``rank``, ``item_id``, ``score``, ``policy``.

    Parameters
    ----------
    out : str or Path
        The ``out`` that :func:`ncf.batch` was given.

    Raises
    ------
    ArtifactError
        Nothing was published here, or a part is damaged.

    Examples
    --------
    >>> table = ncf.read_latest("topk")
    >>> int(table["rank"].max())
    2
    """
    return read_newest(out)
