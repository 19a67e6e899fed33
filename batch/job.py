"""The job of a batch: its options, checked."""

import math
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from batch.filters import Filters
from batch.gates import Gates
from batch.options import EngineName, Mode
from batch.tables import Style
from ncf.devices import Device
from ncf.errors import UsageError
from ncf.scoring.ranker import check_k

_ROWS_A_SHARD = 2_000_000  # two shards are in memory at once
_PATIENCE = 1800.0  # seconds; a part of a large plan takes minutes
_LARGEST_K = int(np.iinfo(np.int16).max)  # rank is an int16


@dataclass(frozen=True)
class Job:
    """The job of a batch: what to score and where to publish it.

    Parameters
    ----------
    bundle : str or Path
        Exported model: its folder, or a URI.
    out : str or Path
        Folder of all runs, or a URI such as ``s3://bucket/topk``.
    k : int
        Largest number of rows for each user, 1 to 32,767.
    device : Device
        Device that computes.
    shard_users : int
        Largest number of users in a part, at least 1.
    workers : int
        Threads that score; 0 takes every core that this process may use. With a cluster, threads
        of each of its tasks; 0 takes one, or what a GPU needs.
    filters : Filters
        Files of users and items.
    style : Style
        File format and layout of parts.
    keep : int
        Number of runs to keep, with the new one; 0 keeps all.
    work : Path or None
        Folder of this machine's lock for an object store.
    mode : Mode
        Exact or screened; ``auto`` screens if that is faster and can keep the recall contract.
    recall : float
        Least recall, in (0, 1), that a screened run must prove; see :mod:`batch.recall_contract`.
    like : str or None
        Run whose decision to screen ``auto`` follows, instead of measuring.
    since : str or None
        Run whose lists are taken over where ranking would give them again: a name, path or URI, or
        ``latest`` for the run that LATEST names, if there is one. ``auto`` ranks as it did.
    gates : tuple of Gate
        What the run must pass to be published; none publishes it in any case.
    report : bool
        Whether to put a report for people into the run.
    date : datetime or None
        Logical date of the run, with a time zone: nothing is made if a run of it is there.
    engine : EngineName
        What makes the parts; the table is the same.
    address : str
        Address of the engine's cluster; empty for one of its own on this machine.
    patience : float
        Seconds without a receipt, above 0, after which a cluster is given up.
    """

    bundle: str | Path
    out: str | Path
    k: int = 10
    device: Device = Device.AUTO
    shard_users: int = 10_000
    workers: int = 0
    filters: Filters = field(default_factory=Filters)
    style: Style = field(default_factory=Style)
    keep: int = 0
    work: Path | None = None
    mode: Mode = Mode.AUTO
    recall: float = 0.999
    like: str | None = None
    since: str | None = None
    gates: Gates = ()
    report: bool = False
    date: datetime | None = None
    engine: EngineName = EngineName.THREADS
    address: str = ""
    patience: float = _PATIENCE

    def __post_init__(self) -> None:
        """Check ranges."""
        check_k(self.k)
        if self.k > _LARGEST_K:
            raise UsageError(f"k = {self.k} is above {_LARGEST_K}")
        for name, least in (("shard_users", 1), ("workers", 0), ("keep", 0)):
            if (value := getattr(self, name)) < least:
                raise UsageError(f"`{name}` {value} is less than {least}")
        if not 0 < self.patience < math.inf:
            raise UsageError(f"`patience` {self.patience} is not a number of seconds above 0")
        if self.engine is EngineName.THREADS:
            self._require_nothing_of_a_cluster()
        if not 0 < self.recall < 1:
            raise UsageError(f"`recall` {self.recall} is outside (0, 1)")
        if self.like is not None and self.mode is not Mode.AUTO:
            raise UsageError(
                f'`like` with `mode="{self.mode.value}"` says twice how to rank',
                remedy="leave one of them out",
            )

    def _require_nothing_of_a_cluster(self) -> None:
        for name, usual in (("address", ""), ("patience", _PATIENCE)):
            if (given := getattr(self, name)) != usual:
                raise UsageError(
                    f"`{name}` {given} is of no use to threads of this machine",
                    remedy="give `engine`, or leave it out",
                )

    @property
    def users_a_shard(self) -> int:
        """Users in a part; fewer than asked for if lists are very long."""
        return max(1, min(self.shard_users, _ROWS_A_SHARD // self.k))
