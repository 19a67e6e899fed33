"""Keep the recall contract: screen, prove the recall, look further, and fall back to exact ranking.

A screened run gives exact scores, but may miss an item. The same run measures how many it missed:
random pairs of its users and items are scored exactly and compared with the end of each list
(:mod:`ncf.proof.audit`). Their misses bound the recall of the whole table from below at 95 %
confidence, even if users are alike, by a test that may be continued (:class:`PairSample`). The
first audit is so large that the recall that export has measured passes nearly always. If the
bound is under the contract, more pairs are drawn or more candidates are scored, beside those of
before, and at last all is ranked exactly: no table under the contract is published.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Protocol

from batch.audience import Audience
from batch.recall_manifest import AuditPlan, RecallProof
from batch.rounds import Round
from ncf.artifacts import canonical_json
from ncf.files import sha256_bytes
from ncf.proof.recall import CONFIDENCE, PairSample, misses_proven, misses_to_allow, pairs_needed
from ncf.scoring.screen_manifest import Calibrated, Screen
from ncf.scoring.screened import Calibration

logger = logging.getLogger(__name__)

POWER = 0.99  # share of runs whose first audit proves the contract, at the calibrated recall
_POWER_LATER = 0.95
_DOUBTFUL = 0.6  # of the misses that the contract allows: for more, no audit is large enough
_LARGEST_SHARE = 0.4  # of all pairs in all audits; above this, exact ranking costs no more
_WIDEST = 8.0
_MOST_CANDIDATES = 0.25  # of the catalogue
_ROUNDS = 12


class Asked(Protocol):
    """What a batch is asked for, as far as it is about recall."""

    @property
    def k(self) -> int:
        """Largest length of a list."""

    @property
    def recall(self) -> float:
        """Recall to prove."""


@dataclass(frozen=True)
class Contract:
    """Plans the rounds of a screened run, by counts alone: the same run plans the same rounds.

    Parameters
    ----------
    job : Asked
        The job of the batch.
    audience : Audience
        Users of the batch.
    inputs : mapping
        Digests of all inputs. With the number of the round they give the seed of its pairs, so
        that another night draws other pairs, and a resumed run the same ones.
    """

    job: Asked
    audience: Audience
    inputs: Mapping[str, str]

    @property
    def target(self) -> float:
        """Recall to prove."""
        return self.job.recall

    @cached_property
    def first(self) -> Round | None:
        """The first round; None if its audit would cost as much as exact ranking."""
        misses = misses_to_allow(min(_DOUBTFUL, self._expected()), POWER)
        pairs = None if misses is None else self._pairs(misses_proven(misses))
        return None if pairs is None or self._costs_too_much(pairs) else self._round(1, 1.0, pairs)

    def begin(self) -> tuple[Round, ...]:
        """Plan the first round; none if its audit would cost as much as exact ranking."""
        return () if self.first is None else (self.first,)

    def after(self, rounds: tuple[Round, ...], sample: PairSample) -> tuple[Round, ...] | None:
        """Plan one more round, or None if exact ranking is the better way to go on.

        Parameters
        ----------
        rounds : tuple of Round
            Rounds so far.
        sample : PairSample
            All pairs drawn so far, against the lists of the last round.
        """
        allowed = sample.listed / max(1, sample.population) * (1 - self.target)
        drawn = sample.drawn * allowed  # in misses that the contract allows
        misses = misses_to_allow((sample.missed + 0.5) / drawn, _POWER_LATER) if drawn else None
        width, number = rounds[-1].width, len(rounds) + 1
        if number > _ROUNDS:
            return None
        pairs = 0.0 if misses is None else (misses_proven(misses) - drawn) / allowed
        if misses is None or self._costs_too_much(sample.drawn + pairs):
            width *= 2
            if width > _WIDEST or self.candidates(width) > self._most_candidates():
                return None
            logger.warning("scoring %s candidates a user", f"{self.candidates(width):,}")
            return (*rounds, self._round(number, width, 0.0))
        logger.warning("drawing %s more pairs", f"{pairs:,.0f}")
        return (*rounds, self._round(number, width, pairs))

    def keeps(self, sample: PairSample) -> bool:
        """Whether the pairs drawn so far prove the contract."""
        return sample.lower_bound(CONFIDENCE) >= self.target

    def candidates(self, width: float) -> int:
        """Count the items scored exactly for each user at a width."""
        return min(self.audience.bundle.n_items, round(width * self._calibrated.candidates))

    def plan(self) -> AuditPlan | None:
        """Describe the plan of the audit; None if there is none."""
        first = self.first
        if first is None:
            return None
        return AuditPlan(first.each, first.seed, self.target, CONFIDENCE, 1)

    def proof(self, rounds: tuple[Round, ...], sample: PairSample) -> RecallProof:
        """Describe the proof, for the manifest."""
        return RecallProof(
            target=self.target,
            lower_bound=round(sample.lower_bound(CONFIDENCE), 7),
            estimate=round(sample.recall(), 7),
            confidence=CONFIDENCE,
            number=len(rounds),
            method="random pairs, sequential test (Wald, Ville)",
            seed=rounds[0].seed,
            candidates=self.candidates(rounds[-1].width),
            **asdict(sample),
        )

    @cached_property
    def _calibrated(self) -> Calibrated:
        found = Calibration.of(self.audience.bundle).find(self.job.k)
        if found is None:
            raise ValueError(f"the screen is not calibrated for k = {self.job.k}")
        return found

    def _expected(self) -> float:
        """Misses to expect by the calibration, as a share of those that the contract allows.

        Half a miss is added: none among so many entries does not say that there is none.
        """
        calibrated, screen = self._calibrated, self.audience.bundle.manifest.screen
        missed, entries = calibrated.missed, calibrated.entries
        if missed is None or not entries:  # of an earlier version
            held_out = screen.users.held_out if isinstance(screen, Screen) else 1
            entries = calibrated.k * held_out
            missed = round((1 - calibrated.recall) * entries)
        return (missed + 0.5) / entries / (1 - self.target)

    def _round(self, number: int, width: float, pairs: float) -> Round:
        each = pairs / max(1, self.audience.n_ranked)
        seed = int(sha256_bytes(canonical_json({**self.inputs, "try": number}))[:8], 16)
        return Round(width, float(-(-each // 1)) if each > 1 else each, seed)

    def _pairs(self, misses: float) -> float:
        """Count pairs of which a number of misses shows a recall at the target."""
        one = pairs_needed(self.target, self._length(), self.audience.bundle.n_items)
        return one * misses / misses_proven(0)

    def _length(self) -> int:
        """Length of lists; they are shorter than K if few items are eligible."""
        return min(self.job.k, self.audience.eligibility.count())

    def _costs_too_much(self, pairs: float) -> bool:
        all_pairs = self.audience.n_ranked * self.audience.bundle.n_items
        return pairs > _LARGEST_SHARE * all_pairs

    def _most_candidates(self) -> float:
        return _MOST_CANDIDATES * self.audience.bundle.n_items
