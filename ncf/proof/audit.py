"""Audit screened lists: score a random sample of pairs exactly, and count missed items."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ncf.pairs import among, pair_keys
from ncf.proof.recall import PairSample
from ncf.proof.tolerance import tolerances
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.ranker import TopK, Users
from ncf.scoring.rescorer import Rescorer


class Missed(NamedTuple):
    """Pairs that were drawn and are missed: position of the user, item, and exact logit.

    Better lists can miss these pairs alone, so they are all that has to be kept of an audit.
    """

    positions: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]

    @classmethod
    def joined(cls, parts: "list[Missed]") -> "Missed":
        """Join the pairs of several audits of the same lists."""
        none = cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        return cls(*(np.concatenate(each) for each in zip(none, *parts, strict=True)))

    def moved(self, by: int) -> "Missed":
        """Count positions from an earlier user."""
        return self._replace(positions=self.positions + by)

    def still(self, found: TopK, n_items: int) -> "Missed":
        """Find which of the pairs other lists of the same users miss, too."""
        if not self.positions.size:
            return self
        scores = found.scores[self.positions]
        kept = (self.logits > scores[:, -1] + tolerances(scores)) & ~_listed(
            found, self.positions, self.items, n_items
        )
        return Missed(self.positions[kept], self.items[kept], self.logits[kept])


@dataclass(frozen=True)
class PairAudit:
    """Draws and scores pairs at the same rate for all users of a run; call it for each block.

    Parameters
    ----------
    eligibility : Eligibility
        Says what may be listed; an item that may not be listed is never a miss.
    rescorer : Rescorer
        Scores exactly.
    each : float
        Pairs for each user; below 1, the share of users for whom one pair is drawn.
    seed : int
        Draws the pairs.
    """

    eligibility: Eligibility
    rescorer: Rescorer
    each: float
    seed: int = 0

    @classmethod
    def of_size(
        cls, eligibility: Eligibility, rescorer: Rescorer, pairs: int, users: int, seed: int = 0
    ) -> "PairAudit":
        """Make an audit that spreads at least a number of pairs over a number of users."""
        each = pairs / max(1, users)
        return cls(eligibility, rescorer, math.ceil(each) if each > 1 else each, seed)

    def __call__(self, users: Users, found: TopK, rng: np.random.Generator) -> PairSample:
        """Audit the lists of some users: see :meth:`draw`."""
        return self.draw(users, found, rng)[0]

    def draw(
        self, users: Users, found: TopK, rng: np.random.Generator
    ) -> tuple[PairSample, Missed]:
        """Audit the lists of some users; return the counts, and the pairs that are missed.

        Parameters
        ----------
        users : int64 array of shape (n,)
            User indices; each occurs once in a run.
        found : TopK
            Their lists.
        rng : numpy.random.Generator
            Draws the pairs.
        """
        n_items = self.eligibility.n_items
        chosen = np.arange(users.size)
        if self.each < 1:
            chosen = np.flatnonzero(rng.random(users.size) < self.each)
        items = rng.integers(0, n_items, (chosen.size, max(1, int(self.each))))
        logits = self.rescorer.score(users[chosen], items)
        last = found.scores[chosen, -1] + tolerances(found.scores[chosen])
        rows, columns = np.nonzero(logits > last[:, None])  # few, so the rest is cheap
        positions, better, exact = chosen[rows], items[rows, columns], logits[rows, columns]
        unlisted = self.eligibility.items[better] & ~_listed(found, positions, better, n_items)
        positions, better, exact = positions[unlisted], better[unlisted], exact[unlisted]
        doubtful, rows = np.unique(positions, return_inverse=True)
        excluded = self.eligibility.excluded(users[doubtful])
        ascending = np.sort(pair_keys(excluded[:, 0], excluded[:, 1], n_items))
        missed = ~among(pair_keys(rows, better, n_items), ascending)
        sample = PairSample(
            drawn=self.each * users.size,
            missed=int(np.count_nonzero(missed)),
            population=users.size * n_items,
            listed=int(np.count_nonzero(found.valid())),
        )
        return sample, Missed(positions[missed], better[missed], exact[missed])


def _listed(
    found: TopK, positions: npt.NDArray[np.int64], items: npt.NDArray[np.int64], n_items: int
) -> npt.NDArray[np.bool_]:
    """Find which pairs of a position and an item are in the lists."""
    rows, columns = np.nonzero(found.valid())
    ascending = np.sort(pair_keys(rows, found.items[rows, columns], n_items))
    return among(pair_keys(positions, items, n_items), ascending)
