"""Work on a plan: open its bundle and audience once, and make its parts."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from batch.audience import Audience
from batch.audience_file import open_audience
from batch.carried import open_carried
from batch.decision import Rankers
from batch.memory import peak_memory
from batch.parts import Task, make_part
from batch.places import Place, closed, open_place, receipts_of, require_open
from batch.plans import FOUND, RECEIPTS, Plan
from batch.receipts import Receipt, instruction_set, part_of
from batch.rounds import Found
from batch.versions import require_versions
from ncf.devices import Device
from ncf.errors import ArtifactError
from ncf.files import sha256_bytes
from ncf.locks import this_host


@dataclass(frozen=True)
class Session:
    """A process that works on a plan.

    Parameters
    ----------
    place : Place
        Where the plan and the parts are.
    plan : Plan
        The plan.
    audience : Audience
        The plan's audience.
    rankers : Rankers
        The bundle's graphs.
    """

    place: Place
    plan: Plan
    audience: Audience
    rankers: Rankers

    @classmethod
    def open(cls, place: Place, plan: Plan, bundle: str | Path | None = None) -> "Session":
        """Open a plan's bundle and audience.

        Parameters
        ----------
        place : Place
            Where the plan is.
        plan : Plan
            The plan.
        bundle : Path, optional
            Folder of the bundle on this machine, if it is not that of the plan.

        Raises
        ------
        ArtifactError
            The bundle or a version of a library is another than the plan's, or the plan is closed.
        CapabilityError
            The plan's device is not here.
        """
        require_versions(plan)
        audience = open_audience(place, plan, bundle)
        device = Device(plan.asked.device)
        return cls(place, plan, audience, Rankers.of(audience, device, screened=bool(plan.rounds)))

    def on(self, plan: Plan) -> "Session":
        """Go on to another try."""
        return replace(self, plan=plan)

    @cached_property
    def task(self) -> Task:
        """How to make a part."""
        plan, rankers = self.plan, self.rankers
        task = Task(
            self.audience,
            rankers.exact,
            plan.asked.parameters.k,
            plan.style,
            carried=open_carried(self.place, plan),
        )
        if not plan.rounds or rankers.screen is None:
            return task
        return replace(task, ranker=rankers.screen, rounds=plan.rounds, rescorer=rankers.rescorer)

    def finish(self, number: int, task: Task | None = None) -> Receipt:
        """Make a part and its receipt, unless both are there and whole.

        Parameters
        ----------
        number : int
            Number of the shard.
        task : Task, optional
            How to make it, with the threads to do it on.

        Raises
        ------
        ArtifactError
            The plan is closed.
        """
        place, plan, part = self.place, self.plan, self.plan.part(number)
        if (receipt := self._done(number)) is not None:
            return receipt
        made = make_part(task or self.task, plan.shard(number), self._found_before(part))
        receipt = Receipt(
            plan=plan.id,
            shard=number,
            part=part,
            sha256=sha256_bytes(made.content),
            size=len(made.content),
            rows=made.rows,
            users=made.users,
            sample=made.found.samples[-1] if made.found else None,
            seconds=made.seconds,
            host=this_host(),
            instruction_set=_computes_with(plan),
            peak_memory_bytes=peak_memory(),
        )
        require_open(place, plan)
        try:
            for stale in self._receipts.get(part, []):
                place.delete(f"{plan.folder}/{RECEIPTS}/{stale}")
            place.write_part(plan, part, made.content)
            if made.found is not None:
                place.write(_found(plan.folder, part), made.found.content())
            # The receipt is written last: a part without one is made again.
            place.write(f"{plan.folder}/{RECEIPTS}/{receipt.file}", receipt.content())
        except FileNotFoundError as error:
            raise closed(place, plan) from error
        return receipt

    @cached_property
    def _receipts(self) -> dict[str, list[str]]:
        """Receipts that were there at the start, by part."""
        found: dict[str, list[str]] = {}
        for file in self.place.names(f"{self.plan.folder}/{RECEIPTS}"):
            found.setdefault(part_of(file), []).append(file)
        return found

    def _done(self, number: int) -> Receipt | None:
        """Read the receipt of a part that is there and whole; None if it is to be made."""
        part = self.plan.part(number)
        files = self._receipts.get(part, [])
        if len(files) != 1:
            return None
        with suppress(ArtifactError, FileNotFoundError):
            (receipt,) = receipts_of(self.place, self.plan, files, number)
            with self.place.open_part(self.plan, part) as file:
                content = file.read()
            if len(content) == receipt.size and sha256_bytes(content) == receipt.sha256:
                return receipt
        return None

    def _found_before(self, part: str) -> Found | None:
        """Read what the rounds of the try before have found; None if they have to be gone anew."""
        if not self.plan.before:
            return None
        with suppress(FileNotFoundError):
            content = self.place.read(_found(self.plan.before, part))
            return Found.read(content, len(self.plan.rounds) - 1)
        return None


def work(
    plan: Plan, shard: int, out: str | Path, bundle: str | Path | None = None, workers: int = 1
) -> Receipt:
    """Make one part; a process opens each plan once.

    This is all that an engine calls on its workers; its arguments and its result are plain data.

    Parameters
    ----------
    plan : Plan
        From :func:`batch.places.current_plan`.
    shard : int
        Number of the shard, from 0.
    out : str or Path
        Folder of all runs, or a URI.
    bundle : str or Path, optional
        Folder of the bundle on this machine, or a URI, if it is not that of the plan.
    workers : int
        Threads that score, at least 1.

    Raises
    ------
    ArtifactError
        The bundle or a version of a library is another than the plan's, or the plan is closed.
    """
    session = _SESSIONS.get(
        (plan.id, str(out), str(bundle)), lambda: Session.open(open_place(out), plan, bundle)
    )
    if workers == 1:
        return session.finish(shard)
    with ThreadPoolExecutor(workers) as pool:
        return session.finish(shard, replace(session.task, pool=pool))


@dataclass
class _Kept:
    """The last session of this process."""

    key: tuple[str, ...] = ()
    session: Session | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: tuple[str, ...], make: Callable[[], Session]) -> Session:
        with self.lock:
            if self.session is None or self.key != key:
                self.session, self.key = make(), key
            return self.session


_SESSIONS = _Kept()


def _found(folder: str, part: str) -> str:
    return f"{folder}/{FOUND}/{part}.npz"


def _computes_with(plan: Plan) -> str:
    device = Device(plan.asked.device)
    return device.value if device is Device.CUDA else instruction_set()
