"""Publish a run under a writer's lock: name it, make it appear whole, and point LATEST at it.

:mod:`batch.destination` moves the files; :mod:`batch.runs` is for readers of published runs.
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
    """The place where a batch publishes, with what is there.

    Parameters
    ----------
    runs : Runs
        The published runs.
    destination : Destination
        Moves files to the place.
    """

    def __init__(self, runs: Runs, destination: Destination) -> None:
        self.runs = runs
        self._destination = destination
        self._before: str | None = None

    @classmethod
    def open(cls, job: Job) -> "Publication":
        """Open the place that a job names.

        Raises
        ------
        UsageError
            The place is not a name, its kind of URI is unknown, or ``work`` is given for a folder.
        """
        runs = open_runs(job.out)
        return cls(runs, open_destination(runs, job.work, str(job.out)))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the place for writing, and remove leftovers of dead writers.

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
        """Continue the unfinished run of the same inputs, or begin one."""
        return Unfinished.open(self._destination.work, identity, self._forget)

    def is_begun(self, identity: Identity) -> bool:
        """Whether the unfinished run that lies here is of the same inputs."""
        return Unfinished.is_of(self._destination.work, identity)

    def published(self, unfinished: Unfinished) -> str | None:
        """Find the name of a whole run that is in place, but that LATEST does not name yet."""
        name = unfinished.published()
        if name is None or self.runs.folder is None:
            return None
        try:
            open_sealed(self.runs.folder / name, RUN)
        except ArtifactError as error:
            logger.warning("starting over: %s", error)
            unfinished.begin_anew()
            return None
        return name

    def sequence(self) -> int:
        """Count the publishes, so that the next number is above that of every run here."""
        return 1 + max(map(self.runs.sequence, self.runs.names()), default=0)

    def publish(self, unfinished: Unfinished, now: datetime, digest: str) -> str:
        """Publish sealed parts as a run, named after the time and the bundle's digest."""
        name = unfinished.name(lambda: self._free_name(f"{now:%Y%m%dT%H%M%SZ}-{digest[:8]}"))
        self._destination.publish(unfinished.parts, name)
        return name

    def conclude(self, name: str, unfinished: Unfinished, keep: int) -> None:
        """Point LATEST at a run, and remove old runs and leftovers.

        The ``keep`` newest runs stay; 0 keeps all. Counted first are this run and the one that
        LATEST named before, which an operator may have gone back to, then others by order of
        publishing. As the table is published, an error here is only a warning.
        """
        self._destination.point(name)
        try:
            unfinished.clear()
            if keep:
                for old in self._by_age(name)[keep:]:
                    self._destination.remove(old)
        except (NcfError, OSError) as error:
            logger.warning(
                "the table is published, but an old file could not be removed: %s", error
            )

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
        """Remove the files of an abandoned run, unless it was published."""
        if name != self._latest():
            self._destination.remove(name)
