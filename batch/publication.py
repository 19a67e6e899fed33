"""Publishing a run: under the one writer's lock it gets a name, appears whole, and becomes LATEST.

How files get to their place is said in :mod:`batch.destination`; what readers need of published
runs, in :mod:`batch.runs`.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from batch.destination import Destination, open_destination
from batch.job import Job
from batch.manifest import RUN, Identity
from batch.runs import Runs, open_runs
from batch.unfinished import Unfinished
from ncf.artifacts import open_sealed
from ncf.errors import ArtifactError, NcfError
from ncf.locks import writer_lock

logger = logging.getLogger(__name__)


class Publication:
    """Where a batch publishes.

    Parameters
    ----------
    runs : Runs
        What is published there.
    destination : Destination
        Moves files there.
    """

    def __init__(self, runs: Runs, destination: Destination) -> None:
        self.runs = runs
        self._destination = destination
        self._before: str | None = None

    @classmethod
    def open(cls, job: Job) -> "Publication":
        """Find the place that a job is for.

        Raises
        ------
        UsageError
            It is no name, the URI is of no known kind, or ``work`` is given for a folder.
        """
        runs = open_runs(job.out)
        return cls(runs, open_destination(runs, job.work, str(job.out)))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer, with what dead writers left cleared away.

        Raises
        ------
        LockedError
            Another batch writes here.
        StorageError
            The place cannot be written.
        """
        with writer_lock(self._destination.lock):
            self._destination.prepare()
            self._before = self._latest()
            yield

    def take_up(self, identity: Identity) -> Unfinished:
        """Take up the unfinished run of the same inputs, or begin one."""
        return Unfinished.open(self._destination.work, identity, self._forget)

    def published(self, unfinished: Unfinished) -> str | None:
        """Name of a run that was renamed into place, and is whole, but not yet named by LATEST."""
        name = unfinished.published()
        if name is None or self.runs.folder is None:
            return None
        try:
            open_sealed(self.runs.folder / name, RUN)
        except ArtifactError as error:
            logger.warning("beginning anew: %s", error)
            unfinished.begin_anew()
            return None
        return name

    def sequence(self) -> int:
        """Count of publishes; above that of any run that is here, whatever LATEST names."""
        return 1 + max(map(self.runs.sequence, self.runs.names()), default=0)

    def publish(self, unfinished: Unfinished, now: datetime, digest: str) -> str:
        """Make sealed parts appear as a run, named after the time and the bundle's digest."""
        name = unfinished.name(lambda: self._free_name(f"{now:%Y%m%dT%H%M%SZ}-{digest[:8]}"))
        self._destination.publish(unfinished.parts, name)
        return name

    def conclude(self, name: str, unfinished: Unfinished, keep: int) -> None:
        """Point LATEST at a run, and clear away what it leaves behind.

        Of runs the ``keep`` newest stay, all of them for 0: this one, and the one that LATEST
        named before, which an operator may have gone back to, then others by order of publishing.
        The table is published: what goes wrong with the clearing is a warning.
        """
        self._destination.point(name)
        try:
            unfinished.clear()
            if keep:
                for old in self._by_age(name)[keep:]:
                    self._destination.remove(old)
        except (NcfError, OSError) as error:
            logger.warning("the table is published, and something old is left: %s", error)

    def _by_age(self, name: str) -> list[str]:
        names = set(self.runs.names())
        first = [each for each in dict.fromkeys([name, self._before]) if each in names]
        others = sorted(names - set(first), key=self.runs.sequence, reverse=True)
        return [each for each in first if each is not None] + others

    def _free_name(self, name: str) -> str:
        taken, count = set(self.runs.names()), 1
        while (tried := name if count == 1 else f"{name}-{count}") in taken:
            count += 1
        return tried

    def _latest(self) -> str | None:
        try:
            return self.runs.latest()
        except ArtifactError:
            return None

    def _forget(self, name: str) -> None:
        """Remove what an abandoned run has left, unless it was published after all."""
        if name != self._latest():
            self._destination.remove(name)
