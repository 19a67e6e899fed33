"""Fit a screen to a model: choose the rank and the counts of landmarks and candidates.

Sampled users are divided into three groups: the first fits the basis, the second chooses rank and
candidates, and the third, which is held out, measures the recall of the finished graph.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from export.screen.cost import Cost
from export.screen.lowrank import Basis, fit_basis, low_rank
from export.screen.sampling import ExactLogits, Groups, Lists, best_lists, blocks, places
from ncf.graphs.screen import LowRank
from ncf.graphs.tower import Floats

LENGTHS = (10, 20, 50, 100)  # of lists that a screen is calibrated for
_LEAST_GAIN = 1.5
_RANKS = (4, 8, 16, 32, 64, 128)
_ROOM = 0.5  # share of the allowed misses that the choosing group may use up
_MARGIN = 3.0  # factor on the candidates beyond K that the choosing group needed
_LEAST_BEYOND = 16
_ROUND = 8


class UselessError(Exception):
    """A screen would not be faster for this model; the message says why."""


@dataclass(frozen=True)
class Options:
    """Options of a screen.

    Parameters
    ----------
    recall : float
        Least recall on held-out users, in (0, 1).
    seed : int
        Seed of the draws of users and landmarks.
    """

    recall: float = 0.999
    seed: int = 0


@dataclass(frozen=True)
class Choice:
    """A stand-in for the tower, with the candidates that each length of list needs."""

    stand_in: LowRank
    candidates: dict[int, int]

    def gains(self, cost: Cost) -> dict[int, float]:
        """Estimate the speed-up of the screen, by length of list."""
        rank, landmarks = self.stand_in.rank, self.stand_in.landmarks.size
        return {k: cost.gain(rank, landmarks, c) for k, c in self.candidates.items()}

    def worthwhile(self, cost: Cost) -> "Choice":
        """Keep the lengths at which the screen is clearly faster than exact ranking.

        Raises
        ------
        UselessError
            There is no such length.
        """
        gains = self.gains(cost)
        kept = {k: c for k, c in self.candidates.items() if gains[k] >= _LEAST_GAIN}
        if not kept:
            k = min(self.candidates)
            raise UselessError(
                f"lists of {k} need {self.candidates[k]} candidates of {cost.items} items at rank "
                f"{self.stand_in.rank}: {gains[k]:.1f} times as fast as exact ranking by estimate"
            )
        return Choice(self.stand_in, kept)


@dataclass(frozen=True)
class _Judges:
    """The choosing group: its users, their tower logits, and their exact lists."""

    exact: ExactLogits
    users: npt.NDArray[np.int64]
    towers: Floats
    truth: Lists

    def needed(self, stand_in: LowRank, recall: float) -> dict[int, int]:
        """Count the candidates that each length of list needs."""
        landmarks = stand_in.landmarks
        guesses = (stand_in.logits(self.towers[at][:, landmarks]) for at in blocks(self.users))
        found = places(self.exact, guesses, self.users, self.truth)
        widest = self.truth.items.shape[1]
        candidates, least = {}, 0
        for k in (each for each in LENGTHS if each <= widest):
            least = max(least, _needed(found[:, :k][self.truth.valid[:, :k]], k, recall))
            candidates[k] = min(self.towers.shape[1], least)
        return candidates


def choose(exact: ExactLogits, groups: Groups, cost: Cost, options: Options) -> Choice:
    """Raise the rank while that makes the screen faster, and find the candidates it needs.

    Raises
    ------
    UselessError
        No rank gives a screen that is clearly faster than exact ranking.
    """
    require_promise(cost)
    lengths = lengths_of(cost.items)
    ranks = [rank for rank in _RANKS if rank <= max(_RANKS[0], groups.fit.size // 4)]
    basis = fit_basis(exact.tower(groups.fit), ranks[-1])
    towers = exact.tower(groups.choose)
    truth = best_lists(exact, towers, groups.choose, lengths[-1])
    judges = _Judges(exact, groups.choose, towers, truth)
    best = _at_rank(judges, basis, ranks[0], options)
    for rank in ranks[1:]:
        # Even with the fewest candidates, a higher rank would not be faster.
        if _score(cost, best) > _ceiling(cost, rank, lengths):
            break
        choice = _at_rank(judges, basis, rank, options)
        best = max(best, choice, key=lambda each: _score(cost, each))
    return best.worthwhile(cost)


def lengths_of(n_items: int) -> list[int]:
    """List the lengths that a catalogue is calibrated for; skip K above half the catalogue."""
    return [k for k in LENGTHS if 2 * k <= n_items]


def require_promise(cost: Cost) -> None:
    """Give up at once if not even the smallest screen would be faster.

    Raises
    ------
    UselessError
        The smallest screen would not be faster.
    """
    lengths = lengths_of(cost.items)
    if not lengths or _ceiling(cost, _RANKS[0], lengths[:1]) < _LEAST_GAIN:
        raise UselessError("exact ranking takes too little work here for a screen to be faster")


def _at_rank(judges: _Judges, basis: Basis, rank: int, options: Options) -> Choice:
    rng = np.random.default_rng([options.seed, rank])
    stand_in = low_rank(basis, rank, landmarks_of(rank), rng)
    return Choice(stand_in, judges.needed(stand_in, options.recall))


def landmarks_of(rank: int) -> int:
    """Count the landmarks for a rank: one for each direction, and half as many at random."""
    return rank + rank // 2


def _score(cost: Cost, choice: Choice) -> float:
    """Rate a choice by the time that short and long lists take together."""
    gains = choice.gains(cost)
    return len(gains) / sum(1 / gain for gain in gains.values())


def _ceiling(cost: Cost, rank: int, lengths: list[int]) -> float:
    gains = [cost.gain(rank, landmarks_of(rank), k + _LEAST_BEYOND) for k in lengths]
    return len(gains) / sum(1 / gain for gain in gains)


def _needed(places_: npt.NDArray[np.int64], k: int, recall: float) -> int:
    """Count the candidates that hold nearly all best items, with a margin for other users."""
    allowed = int(places_.size * (1 - recall) * _ROOM)
    worst = int(np.sort(places_)[places_.size - 1 - allowed]) if places_.size else k
    wanted = k + max(_LEAST_BEYOND, round(_MARGIN * max(0, worst - k)))
    return -(-wanted // _ROUND) * _ROUND
