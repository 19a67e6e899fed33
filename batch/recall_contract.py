"""Keep the recall contract: screen, prove the recall, widen, and fall back to exact ranking.

A screened run gives exact scores, but may miss an item. The same run measures how many it missed:
random pairs of its users and items are scored exactly and compared with the end of each list
(:mod:`ncf.proof.audit`). Their misses bound the recall of the whole table from below at 95 %
confidence, even if users are alike (:class:`PairSample`). If the bound is under the contract, a
larger audit is tried, then more candidates, then exact ranking: no table under the contract is
published.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

from batch.audience import Audience
from batch.job import Job
from batch.manifest import AuditPlan, RecallProof
from batch.options import Mode
from ncf.artifacts import canonical_json
from ncf.devices import Device
from ncf.errors import UsageError
from ncf.files import sha256_bytes
from ncf.proof.audit import PairAudit
from ncf.proof.recall import CONFIDENCE, PairSample, pairs_needed
from ncf.scoring.exact import ExactRanker
from ncf.scoring.ranker import Ranker
from ncf.scoring.screen_manifest import NoScreen
from ncf.scoring.screened import Calibration, Rescorer, ScreenedRanker

logger = logging.getLogger(__name__)


class Try(NamedTuple):
    """A width, the misses that its audit allows, and the probability that its proof is wrong."""

    width: float
    misses: int
    doubt: float


# The probabilities add up to what the contract allows, so that several tries do not weaken it
# (Bonferroni). The first audit is the smallest possible; after an unlucky one comes a larger one.
TRIES = (
    Try(1, 0, 0.03),
    Try(1, 2, 0.01),
    Try(2, 2, 0.004),
    Try(4, 2, 0.003),
    Try(8, 2, 0.003),
)
_LARGEST_SHARE = 0.2  # of all pairs in the audit; above this, exact ranking costs no more


@dataclass(frozen=True)
class Attempt:
    """One way to rank the audience, with the audit that proves its recall.

    Parameters
    ----------
    ranker : Ranker
        Ranks exactly, or screens with some width.
    audit : PairAudit or None
        Proves a screen's recall; None for exact ranking.
    width : float
        Factor on the calibrated candidates beyond K; 0 for exact ranking.
    target : float
        Recall to prove.
    confidence : float
        Confidence of this proof alone.
    number : int
        Number of the try, from 1.
    """

    ranker: Ranker
    audit: PairAudit | None = None
    width: float = 0.0
    target: float = 0.0
    confidence: float = CONFIDENCE
    number: int = 0

    @property
    def mode(self) -> Mode:
        """Mode of ranking: exact or screened."""
        return Mode.SCREENED if self.audit else Mode.EXACT

    def plan(self) -> AuditPlan | None:
        """Describe the plan of the audit; None for exact ranking."""
        if self.audit is None:
            return None
        contract = (self.target, self.confidence, self.number)
        return AuditPlan(self.audit.each, self.audit.seed, *contract)

    def keeps(self, sample: PairSample) -> bool:
        """Whether the sample proves the recall contract; exact ranking needs no proof."""
        return self.audit is None or sample.lower_bound(self.confidence) >= self.target

    def proof(self, sample: PairSample, k: int) -> RecallProof | None:
        """Describe the proof, for the manifest; None for exact ranking."""
        if self.audit is None or not isinstance(self.ranker, ScreenedRanker):
            return None
        return RecallProof(
            target=self.target,
            lower_bound=round(sample.lower_bound(self.confidence), 7),
            estimate=round(sample.recall(), 7),
            confidence=CONFIDENCE,
            confidence_of_this_try=self.confidence,
            number=self.number,
            method="random pairs, Garwood's bound for a Poisson mean",
            seed=self.audit.seed,
            candidates=self.ranker.candidates(k),
            **asdict(sample),
        )


def attempts(job: Job, audience: Audience, inputs: Mapping[str, str]) -> Iterator[Attempt]:
    """Yield ways to rank, each safer than the one before; the last one is exact.

    Parameters
    ----------
    job : Job
        The job of the batch.
    audience : Audience
        Users of the batch.
    inputs : mapping
        Digests of all inputs. With the number of the try they give the seed of its audit, so that
        another night draws other pairs, and a resumed run the same ones.

    Raises
    ------
    UsageError
        A screen is asked for, but the bundle has none, or none for lists of this length.
    CapabilityError
        CUDA was asked for and is not available.
    """
    bundle, eligibility = audience.bundle, audience.eligibility
    why_not = _why_not(job, audience)
    if job.mode is Mode.SCREENED and why_not:
        raise UsageError(
            f'`mode="screened"`: {why_not}', where=job.bundle, remedy='use `mode="exact"`, or auto'
        )
    rows = audience.rows
    exact = ExactRanker.open(bundle, job.device, 1, eligibility).over(rows)
    if job.mode is Mode.AUTO and exact.device is Device.CUDA:
        why_not = why_not or "CUDA ranks exactly"
    if why_not:
        if job.mode is Mode.AUTO:
            logger.info("ranking exactly: %s", why_not)
        yield Attempt(exact)
        return
    screen = ScreenedRanker.open(bundle, exact.device, 1, eligibility).over(rows)
    rescorer = Rescorer.open(bundle, exact.device, 1, rows)
    for number, attempt in enumerate(TRIES, 1):
        if _too_costly(job, audience, attempt):
            logger.warning("proving a recall of %s costs as much as it saves", job.recall)
            break
        ranker = screen.widened(attempt.width)
        logger.info("screening with %s candidates a user", f"{ranker.candidates(job.k):,}")
        pairs = _audit_pairs(job, audience, attempt)
        seed = int(sha256_bytes(canonical_json({**inputs, "try": number}))[:8], 16)
        audit = PairAudit.of_size(eligibility, rescorer, pairs, audience.n_ranked, seed)
        yield Attempt(ranker, audit, attempt.width, job.recall, 1 - attempt.doubt, number)
        logger.warning("the screen did not prove a recall of %s", job.recall)
    logger.warning("ranking exactly instead")
    yield Attempt(exact)


def _why_not(job: Job, audience: Audience) -> str:
    """Give the reason not to screen; empty if there is none."""
    if job.mode is Mode.EXACT:
        return "every item is to be scored"
    screen = audience.bundle.manifest.screen
    if isinstance(screen, NoScreen):
        return f"the bundle has no screen ({screen.reason})"
    found = Calibration.of(audience.bundle).find(job.k)
    if found is None:
        return f"the screen is not calibrated for k = {job.k}"
    if job.mode is Mode.AUTO:
        if found.recall < job.recall:
            return f"its calibrated recall {found.recall:.5f} is under {job.recall}"
        if _too_costly(job, audience, TRIES[0]):
            return "for so few users or items the proof would cost as much as it saves"
    return ""


def _too_costly(job: Job, audience: Audience, attempt: Try) -> bool:
    pairs = audience.n_ranked * audience.bundle.n_items
    return _audit_pairs(job, audience, attempt) > _LARGEST_SHARE * pairs


def _audit_pairs(job: Job, audience: Audience, attempt: Try) -> int:
    """Count the pairs of an audit; lists are shorter than K if few items are eligible."""
    length = min(job.k, audience.eligibility.count())
    n_items, misses = audience.bundle.n_items, attempt.misses
    return pairs_needed(job.recall, length, n_items, 1 - attempt.doubt, misses=misses)
