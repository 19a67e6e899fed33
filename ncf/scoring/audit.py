"""Look for items that screened lists should have held: a random sample of pairs, scored exactly."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncf.scoring.bundle import Bundle
from ncf.scoring.parity import tolerance
from ncf.scoring.ranking import TopK
from ncf.scoring.recall import PairSample
from ncf.scoring.screening import Rescorer


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
        mask: npt.NDArray[np.float32] | None = None,
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
        mask : float32 array of shape (items,), optional
            Minus infinity for items that nobody may get.
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
        if mask is not None:
            pairs = pairs[~np.isneginf(mask[pairs[:, 1]])]
        return PairSample(
            drawn=self.each * users.size,
            missed=len(pairs) - self._explained(users, found, pairs),
            population=users.size * n_items,
            listed=int(np.count_nonzero(found.valid())),
        )

    def _explained(
        self, users: npt.NDArray[np.int64], found: TopK, pairs: npt.NDArray[np.int64]
    ) -> int:
        """Count the pairs (position in users, item) that are listed, or seen by their user."""
        n_items = self.bundle.n_items
        positions, columns = np.nonzero(found.valid())
        listed = np.sort(positions * n_items + found.items[positions, columns])
        seen = self.bundle.seen.pairs(users) @ np.array([n_items, 1])  # ascending as it is
        keys = pairs @ np.array([n_items, 1])
        return int(np.count_nonzero(_among(keys, listed) | _among(keys, seen)))


def _among(keys: npt.NDArray[np.int64], ascending: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    place = np.searchsorted(ascending, keys)
    found = np.zeros(keys.size, np.bool_)
    inside = place < ascending.size
    found[inside] = ascending[place[inside]] == keys[inside]
    return found
