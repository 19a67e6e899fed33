"""Look for items that screened lists should have held: a random sample of pairs, scored exactly."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncf.proof.recall import PairSample
from ncf.proof.tolerance import tolerances
from ncf.scoring.bundle import Bundle
from ncf.scoring.ranker import Pairs, TopK, Users
from ncf.scoring.screened import Rescorer


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
    seed : int
        Draws the pairs.
    """

    bundle: Bundle
    rescorer: Rescorer
    each: float
    seed: int = 0

    @classmethod
    def of_size(
        cls, bundle: Bundle, rescorer: Rescorer, pairs: int, users: int, seed: int = 0
    ) -> "PairAudit":
        """Spread at least so many pairs over so many users."""
        each = pairs / max(1, users)
        return cls(bundle, rescorer, math.ceil(each) if each > 1 else each, seed)

    def __call__(
        self,
        users: npt.NDArray[np.int64],
        found: TopK,
        rng: np.random.Generator,
        unwanted: Callable[[Users], Pairs] | None = None,
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
        unwanted : callable, optional
            Gives position and item of what some users must not get; if not given, what the
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
        last = found.scores[chosen, -1] + tolerances(found.scores[chosen])
        rows, columns = np.nonzero(logits > last[:, None])  # few, so that the rest is cheap
        pairs = np.stack([chosen[rows], items[rows, columns]], axis=1)
        if allowed is not None:
            pairs = pairs[allowed[pairs[:, 1]]]
        pairs = pairs[~_among(pairs, _listed(found), n_items)]
        doubtful, rows = np.unique(pairs[:, 0], return_inverse=True)
        ruled_out = (unwanted or self.bundle.seen.pairs)(users[doubtful])
        pairs[:, 0] = rows
        return PairSample(
            drawn=self.each * users.size,
            missed=int(np.count_nonzero(~_among(pairs, ruled_out, n_items))),
            population=users.size * n_items,
            listed=int(np.count_nonzero(found.valid())),
        )


def _listed(found: TopK) -> Pairs:
    positions, columns = np.nonzero(found.valid())
    return np.stack([positions, found.items[positions, columns]], axis=1)


def _among(pairs: Pairs, others: Pairs, n_items: int) -> npt.NDArray[np.bool_]:
    """Tell which pairs are among others."""
    keys, ascending = (each @ np.array([n_items, 1]) for each in (pairs, others))
    ascending = np.sort(ascending)
    place = np.searchsorted(ascending, keys)
    found = np.zeros(keys.size, np.bool_)
    inside = place < ascending.size
    found[inside] = ascending[place[inside]] == keys[inside]
    return found
