"""Look for items that screened lists should have held: a random sample of pairs, scored exactly."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncf.scoring.bundle import Bundle
from ncf.scoring.parity import tolerance
from ncf.scoring.ranking import Pairs, TopK
from ncf.scoring.recall import PairSample
from ncf.scoring.screening import Rescorer

SEED = 0


@dataclass(frozen=True)
class PairAudit:
    """Draws pairs at the same rate for every user of a run; call it for each block of users.

    Parameters
    ----------
    bundle : Bundle
        Gives the seen items.
    rescorer : Rescorer
        Scores exactly.
    each : float
        Pairs a user; below 1, the share of users of whom one pair is drawn.
    """

    bundle: Bundle
    rescorer: Rescorer
    each: float

    @classmethod
    def of_size(cls, bundle: Bundle, rescorer: Rescorer, pairs: int, users: int) -> "PairAudit":
        """Spread at least so many pairs over so many users."""
        each = pairs / max(1, users)
        return cls(bundle, rescorer, math.ceil(each) if each > 1 else each)

    def __call__(
        self,
        users: npt.NDArray[np.int64],
        found: TopK,
        rng: np.random.Generator,
        unwanted: Pairs | None = None,
        allowed: npt.NDArray[np.bool_] | None = None,
    ) -> PairSample:
        """Audit the lists of some users.

        Parameters
        ----------
        users : int64 array of shape (n,)
            User indices, no one twice in a run.
        found : TopK
            Their lists of unseen items.
        rng : numpy.random.Generator
            Draws the pairs.
        unwanted : int64 array of shape (m, 2), optional
            Position in ``users`` and item of what they must not get; if not given, what the
            bundle says they have seen.
        allowed : bool array of shape (items,), optional
            Items that may be listed; all of them if not given.
        """
        n_items = self.bundle.n_items
        chosen = np.arange(users.size)
        if self.each < 1:
            chosen = np.flatnonzero(rng.random(users.size) < self.each)
        items = rng.integers(0, n_items, (chosen.size, max(1, int(self.each))))
        logits = self.rescorer.score(users[chosen], items)
        last = found.scores[chosen, -1] + tolerance(found.scores[found.valid()])
        rows, columns = np.nonzero(logits > last[:, None])  # few, so that the rest is cheap
        pairs = np.stack([chosen[rows], items[rows, columns]], axis=1)
        if allowed is not None:
            pairs = pairs[allowed[pairs[:, 1]]]
        if unwanted is None:
            unwanted = self.bundle.seen.pairs(users)
        return PairSample(
            drawn=self.each * users.size,
            missed=len(pairs) - self._explained(found, pairs, unwanted),
            population=users.size * n_items,
            listed=int(np.count_nonzero(found.valid())),
        )

    def _explained(self, found: TopK, pairs: Pairs, unwanted: Pairs) -> int:
        """Count the pairs (position in users, item) that are listed, or unwanted."""
        n_items = self.bundle.n_items
        positions, columns = np.nonzero(found.valid())
        listed = np.sort(positions * n_items + found.items[positions, columns])
        seen = np.sort(unwanted @ np.array([n_items, 1]))
        keys = pairs @ np.array([n_items, 1])
        return int(np.count_nonzero(_among(keys, listed) | _among(keys, seen)))


def _among(keys: npt.NDArray[np.int64], ascending: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    place = np.searchsorted(ascending, keys)
    found = np.zeros(keys.size, np.bool_)
    inside = place < ascending.size
    found[inside] = ascending[place[inside]] == keys[inside]
    return found
