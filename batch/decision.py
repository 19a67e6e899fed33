"""Decide once, before the first shard, whether to screen: by time, measured on this machine.

The estimate is in seconds: lists, proof and expected retries of a screened run against exact
ranking, from rates measured on a few of the run's own users. What was measured goes into the
manifest for people to read, but is no part of what identifies a run.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from batch.audience import Audience
from batch.job import Job
from batch.manifest import Decision
from batch.options import Mode
from batch.reading import find_run
from batch.recall_contract import POWER, Contract
from ncf.devices import Device, usable_cores
from ncf.errors import UsageError
from ncf.proof.audit import PairAudit
from ncf.scoring.exact import ExactRanker
from ncf.scoring.ranker import Users
from ncf.scoring.rescorer import Rescorer
from ncf.scoring.screen_manifest import NoScreen
from ncf.scoring.screened import Calibration, ScreenedRanker

logger = logging.getLogger(__name__)

_SHARE = 0.02  # of the users, whom measuring may rank
_EXACT_USERS, _SCREENED_USERS, _PAIRS = 48, 256, 8192
_AHEAD = 0.9  # of the time of exact ranking: a screen must take less


@dataclass(frozen=True)
class Rates:
    """Seconds of one thread.

    Parameters
    ----------
    exact, screened : float
        For the list of a user.
    pair : float
        For a pair of an audit.
    """

    exact: float
    screened: float
    pair: float


@dataclass(frozen=True)
class Rankers:
    """What a run can rank with; a screen and a rescorer only where the bundle has them."""

    exact: ExactRanker
    screen: ScreenedRanker | None = None
    rescorer: Rescorer | None = None

    @classmethod
    def open(cls, job: Job, audience: Audience) -> "Rankers":
        """Open the graphs that a job may need, one thread each."""
        exact = cls.of(audience, job.device, screened=False)
        return exact if why_not(job, audience, exact.device) else exact.with_screen(audience)

    @classmethod
    def of(cls, audience: Audience, device: Device, *, screened: bool) -> "Rankers":
        """Open the graphs of one way to rank, one thread each."""
        exact = ExactRanker.open(audience.bundle, device, 1, audience.eligibility)
        found = cls(exact.over(audience.rows))
        return found.with_screen(audience) if screened else found

    @property
    def device(self) -> Device:
        """The device that ranks."""
        return self.exact.device

    def with_screen(self, audience: Audience) -> "Rankers":
        """Open the screen too, and what proves its recall."""
        bundle, exact, rows = audience.bundle, self.exact, audience.rows
        screen = ScreenedRanker.open(bundle, self.device, 1, audience.eligibility).over(rows)
        rescorer = Rescorer.open(bundle, self.device, 1, rows)
        return Rankers(exact, screen.backed_by(exact), rescorer)


def decide(
    job: Job,
    audience: Audience,
    contract: Contract,
    rankers: Rankers,
    measure: "Callable[[Rankers, Audience, int, float], Rates] | None" = None,
) -> Decision:
    """Decide how a job ranks.

    Parameters
    ----------
    job, audience, contract
        The job, its users, and the plan of its rounds.
    rankers : Rankers
        From :meth:`Rankers.open`.
    measure : callable, optional
        Measures rates; :func:`measured_rates` if not given.

    Raises
    ------
    UsageError
        A screen is asked for, but the bundle has none, or none for lists of this length.
    """
    mode, like = job.mode, f"as run {job.like} did"
    if job.like is not None:
        mode = mode_of(job.like)
    reason = why_not(job, audience, rankers.exact.device, mode)
    if mode is Mode.SCREENED and reason:
        asked = f"`like` {job.like}" if job.like is not None else '`mode="screened"`'
        raise UsageError(
            f"{asked}: {reason}", where=job.bundle, remedy='use `mode="exact"`, or auto'
        )
    if job.like is not None or mode is not Mode.AUTO:
        return Decision(mode, like if job.like is not None else "asked for")
    first = contract.first if not reason else None
    if reason or first is None:
        cost = "for so few users or items the proof would cost as much as it saves"
        return Decision(Mode.EXACT, reason or cost)
    rates = (measure or measured_rates)(rankers, audience, job.k, first.each)
    return by_time(rates, audience.n_ranked, first.each, job.workers or usable_cores())


def by_time(rates: Rates, users: int, each: float, threads: int) -> Decision:
    """Decide by estimated seconds, for a number of users, and of pairs for each of them.

    Examples
    --------
    >>> rates = Rates(exact=1e-3, screened=4e-5, pair=4e-7)
    >>> by_time(rates, users=6000, each=400, threads=2).mode.value
    'screened'
    >>> by_time(rates, users=6000, each=2500, threads=2).mode.value
    'exact'
    """
    exact = users * rates.exact / threads
    audit = users * each * rates.pair / threads
    retries = (1 - POWER) * (audit + exact)
    screened = users * rates.screened / threads + audit + retries
    mode = Mode.SCREENED if screened < _AHEAD * exact else Mode.EXACT
    reason = f"by estimate {screened:.2g} s screened and proven, {exact:.2g} s exact"
    return Decision(mode, reason, round(exact, 3), round(screened, 3))


def measured_rates(rankers: Rankers, audience: Audience, k: int, each: float) -> Rates:
    """Measure rates on a few users of the run, spread over all; a fraction of a second.

    ``each`` is the number of pairs that the audit draws for a user.
    """
    users = audience.ranked(0, audience.n_ranked)
    exact, screen, rescorer = rankers.exact, rankers.screen, rankers.rescorer
    if screen is None or rescorer is None:
        raise ValueError("nothing to measure without a screen")
    share = max(2, round(_SHARE * users.size))
    few = _spread(users, min(share, exact.step, _EXACT_USERS))
    more = _spread(users, min(4 * share, _SCREENED_USERS))
    each = max(1.0, each)
    audited = more[: max(1, int(_PAIRS // each))]
    audit = PairAudit(audience.eligibility, rescorer, each)
    lists = screen.rank(audited, k)
    exact.rank(few[:1], k)  # the first call of a session also allocates
    screen.rank(more[: screen.users_at_once(k)], k)
    return Rates(
        exact=_seconds(lambda: exact.rank(few, k)) / few.size,
        screened=_seconds(lambda: screen.rank(more, k)) / more.size,
        pair=_seconds(lambda: audit(audited, lists, np.random.default_rng(0)))
        / (each * audited.size),
    )


def why_not(job: Job, audience: Audience, device: Device, mode: Mode | None = None) -> str:
    """Give the reason not to screen; empty if there is none."""
    mode = mode or job.mode
    if mode is Mode.EXACT:
        return "every item is to be scored"
    screen = audience.bundle.manifest.screen
    if isinstance(screen, NoScreen):
        return f"the bundle has no screen ({screen.reason})"
    found = Calibration.of(audience.bundle).find(job.k)
    if found is None:
        return f"the screen is not calibrated for k = {job.k}"
    if mode is Mode.AUTO and job.like is None:
        if device is Device.CUDA:
            return "CUDA ranks exactly"
        if found.recall < job.recall:
            return f"its calibrated recall {found.recall:.5f} is under {job.recall}"
    return ""


def mode_of(run: str) -> Mode:
    """Read how a run decided to rank, from the run's folder or URI.

    Raises
    ------
    ArtifactError
        There is no run.
    """
    manifest = find_run(run, ".").manifest
    return manifest.decision.mode if manifest.decision else manifest.mode


def _spread(users: Users, count: int) -> Users:
    """Take some users, spread evenly over all."""
    return users[np.linspace(0, users.size - 1, max(1, min(count, users.size))).astype(np.int64)]


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
