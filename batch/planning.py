"""Plan a batch: read its inputs once, decide how to rank, and write all that down for workers.

A plan is made under the lock of its place. The unfinished run of the same inputs is taken up, with
its tries; that of others is given up.
"""

import logging
import time
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from batch.audience_file import audience_bytes
from batch.bundles import whereabouts
from batch.dates import stamp, written
from batch.decision import Rankers, decide
from batch.inputs import Inputs, read_inputs
from batch.job import Job
from batch.manifest import Decision, Identity, Parameters
from batch.options import Mode
from batch.places import Place, current_plan
from batch.plans import AUDIENCE_FILE, PLAN_FILE, Plan
from batch.recall_contract import Contract
from batch.replacing import free_name, give_up, set_up
from batch.rounds import Round
from batch.sessions import Session
from batch.since import Earlier, earlier_run, take_over
from batch.versions import versions
from ncf.artifacts import canonical_json
from ncf.errors import ArtifactError
from ncf.files import sha256_bytes
from ncf.locks import this_host
from ncf.records import json_values

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A job whose inputs are read and whose graphs are open.

    Parameters
    ----------
    job : Job
        The job.
    inputs : Inputs
        The bundle and the files.
    rankers : Rankers
        What it can rank with.
    seconds : float
        Seconds that this took.
    earlier : Earlier or None
        The run to take lists over from; None if none was named.
    """

    job: Job
    inputs: Inputs
    rankers: Rankers
    seconds: float
    earlier: Earlier | None = None

    @classmethod
    def read(cls, job: Job) -> "Prepared":
        """Read the inputs and open the graphs, so that what is missing is found out at once.

        Raises
        ------
        ArtifactError
            The bundle is damaged.
        RatingsError
            A file of users or items cannot be read.
        UsageError
            A file or a screen is missing, or no user or no item is left.
        """
        started = time.monotonic()
        inputs = read_inputs(job)
        rankers = Rankers.open(job, inputs.audience)
        earlier = earlier_run(job, inputs.audience, rankers.device)
        found = cls(job, inputs, rankers, time.monotonic() - started, earlier)
        if job.mode is Mode.SCREENED or job.like is not None:
            found.decide()
        return found

    @cached_property
    def contract(self) -> Contract:
        """Plans the rounds of a screened run."""
        return Contract(self.job, self.inputs.audience, self.inputs.digests)

    def decide(self) -> Decision:
        """Decide how to rank: as a run whose lists are taken over, if its way is open here."""
        if self.follows is not None:
            return Decision(self.follows, "as the run did whose lists are taken over")
        return decide(self.job, self.inputs.audience, self.contract, self.rankers)

    @property
    def follows(self) -> Mode | None:
        """How the run was ranked whose lists are taken over, if this job may do so too."""
        if self.earlier is None or self.job.mode is not Mode.AUTO or self.job.like is not None:
            return None
        mode = self.earlier.mode
        return None if mode is Mode.SCREENED and self.rankers.screen is None else mode

    def identity(self, mode: Mode) -> Identity:
        """List everything that may change the bytes of a part."""
        job, screened = self.job, mode is Mode.SCREENED
        return Identity(
            parameters=_parameters(job),
            inputs=self.inputs.digests,
            **versions(),  # type: ignore[arg-type]  # each of its own type
            device=self.rankers.exact.device.value,
            mode=mode,
            width=1.0 if screened else None,
            audit=self.contract.plan() if screened else None,
        )

    def session(self, place: Place, plan: Plan) -> Session:
        """Work on a plan with what is open here."""
        return Session(place, plan, self.inputs.audience, self.rankers)


def take_up(prepared: Prepared, place: Place, now: datetime) -> Plan:
    """Take up the unfinished run of the same inputs, or plan a new one; the caller holds the lock.

    Parameters
    ----------
    prepared : Prepared
        The job.
    place : Place
        Where to publish.
    now : datetime
        Names a new run, unless the job has a date.

    Raises
    ------
    StorageError
        The place cannot be written.
    """
    audience = audience_bytes(prepared.inputs.selection)
    digest = sha256_bytes(audience)
    found = _found(place)
    if found is not None and found.audience == digest and _is_of(prepared, found):
        plan = found
    else:
        mode, rounds, decision = _ways(prepared)
        plan = _new(prepared, place, now, digest, (prepared.identity(mode), rounds, decision))
        if found is not None and _same(found.asked, plan.asked) and found.audience == digest:
            plan = found
    if plan is found:
        place.write(AUDIENCE_FILE, audience)
        # The same bytes may lie elsewhere by now, and a commit looks at them again.
        plan = take_over(prepared, place, replace(plan, **_whereabouts(prepared)))
        place.write(PLAN_FILE, plan.content())
        place.reopen(plan)
        logger.info("going on with plan %s", plan.folder)
        return plan
    if found is not None:
        give_up(place, found)
    place.clear()
    place.write(AUDIENCE_FILE, audience)
    plan = take_over(prepared, place, plan)
    set_up(place, plan)
    return plan


def _ways(prepared: Prepared) -> tuple[Mode, tuple[Round, ...], Decision]:
    """Decide how to rank, and plan the first round of a screen."""
    decision = prepared.decide()
    if prepared.job.mode is not decision.mode:
        way = "ranking exactly" if decision.mode is Mode.EXACT else "screening"
        logger.info("%s: %s", way, decision.reason)
    if decision.mode is Mode.EXACT:
        return Mode.EXACT, (), decision
    rounds, contract = prepared.contract.begin(), prepared.contract
    if not rounds:
        logger.warning("proving a recall of %s costs as much as it saves", contract.target)
        logger.warning("ranking exactly instead")
        return Mode.EXACT, (), decision
    logger.info("screening with %s candidates a user", f"{contract.candidates(1):,}")
    return Mode.SCREENED, rounds, decision


def _new(
    prepared: Prepared,
    place: Place,
    now: datetime,
    audience: str,
    ways: tuple[Identity, tuple[Round, ...], Decision],
) -> Plan:
    inputs, (asked, rounds, decision) = prepared.inputs, ways
    return Plan(
        asked=asked,
        rounds=rounds,
        audience=audience,
        users=len(inputs.audience),
        run=free_name(place, f"{stamp(prepared.job.date or now)}-{inputs.bundle.digest[:8]}"),
        **_whereabouts(prepared),
        counts=inputs.audience.counts,
        decision=decision,
        host=this_host(),
        seconds=round(prepared.seconds, 3),
    )


def _whereabouts(prepared: Prepared) -> dict[str, Any]:
    """Say where the bundle and the files are, which does not change what a plan is of."""
    job = prepared.job
    files = {
        name: str(path.absolute())
        for name, path in job.filters.files().items()
        if name not in job.filters.plain
    }
    return {"bundle": whereabouts(job.bundle), "files": files}


def _found(place: Place) -> Plan | None:
    """Read the plan of the unfinished run; a damaged one is none."""
    try:
        return current_plan(place)
    except ArtifactError as error:
        logger.warning("starting over: %s", error)
        return None


def _is_of(prepared: Prepared, plan: Plan) -> bool:
    """Whether a plan decided how to rank for the same job, when it was free to."""
    job = prepared.job
    free = job.mode is Mode.AUTO and job.like is None and prepared.follows is None
    if not free or prepared.rankers.screen is None:
        return False
    return any(_same(plan.asked, prepared.identity(mode)) for mode in (Mode.EXACT, Mode.SCREENED))


def _same(first: Identity, second: Identity) -> bool:
    return canonical_json(json_values(first)) == canonical_json(json_values(second))


def _parameters(job: Job) -> Parameters:
    return Parameters(
        k=job.k,
        shard_users=job.users_a_shard,
        format=job.style.file_format,
        layout=job.style.layout,
        cold_user=job.filters.strangers,
        keep_spaces=job.filters.keep_spaces or None,
        refresh=job.filters.refresh or None,
        columns=job.filters.columns or None,
        date=None if job.date is None else written(job.date),
    )
