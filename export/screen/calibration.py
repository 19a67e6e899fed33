"""Calibrate a screen: choose its rank, how many candidates to score, and whom to rank exactly.

Sampled users are divided into three groups: the first fits the guess, the second chooses, and the
third, which is held out, measures the recall of the finished graph.
"""

from dataclasses import dataclass, replace

import numpy as np

from export.screen.cost import Cost
from export.screen.judging import Judges, Needs
from export.screen.regression import Fitted, fit_guess
from export.screen.sampling import ExactLogits, Groups
from ncf.graphs.screen import Guess
from ncf.models.weights import Weights

LENGTHS = (10, 20, 50, 100)  # of lists that a screen is calibrated for
_LEAST_GAIN = 1.5
_RANKS = (8, 16, 32, 64, 128, 192)
_LEAST_BEYOND = 16


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
        Seed of the draws of users and features.
    """

    recall: float = 0.999
    seed: int = 0


@dataclass(frozen=True)
class Choice:
    """A guess, with what each length of list needs."""

    guess: Guess
    needs: dict[int, Needs]

    def gains(self, cost: Cost) -> dict[int, float]:
        """Estimate the speed-up of the screen, by length of list."""
        rank, relus = self.guess.rank, self.guess.shifts.size
        return {
            k: float(cost.gain(rank, relus, each.candidates, each.hard))
            for k, each in self.needs.items()
        }

    def worthwhile(self, cost: Cost) -> "Choice":
        """Keep the lengths at which the screen is clearly faster than exact ranking.

        Raises
        ------
        UselessError
            There is no such length.
        """
        gains = self.gains(cost)
        kept = {k: each for k, each in self.needs.items() if gains[k] >= _LEAST_GAIN}
        if not kept:
            k = min(self.needs)
            raise UselessError(
                f"lists of {k} need {self.needs[k].candidates} candidates of {cost.items} items at "
                f"rank {self.guess.rank}: {gains[k]:.1f} times as fast as exact ranking by estimate"
            )
        return replace(self, needs=kept)


def choose(
    weights: Weights, exact: ExactLogits, groups: Groups, cost: Cost, options: Options
) -> Choice:
    """Raise the rank while that makes the screen faster, and find the candidates it needs.

    Raises
    ------
    UselessError
        No rank gives a screen that is clearly faster than exact ranking.
    """
    require_promise(cost)
    lengths = lengths_of(cost.items)
    rng = np.random.default_rng(options.seed)
    fitted = fit_guess(weights, exact, groups.fit, _RANKS[-1], rng)
    judges = Judges.of(exact, groups.choose, lengths)
    best = _at_rank(judges, fitted, _RANKS[0], cost, options)
    for rank in _RANKS[1:]:
        # Even with the fewest candidates, a higher rank would not be faster.
        if rank > fitted.full.rank or _score(cost, best) > _ceiling(cost, rank, lengths):
            break
        choice = _at_rank(judges, fitted, rank, cost, options)
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


def _at_rank(judges: Judges, fitted: Fitted, rank: int, cost: Cost, options: Options) -> Choice:
    guess = fitted.at_rank(rank)

    def price(needs: Needs) -> float:
        return cost.screened(guess.rank, guess.shifts.size, needs.candidates, needs.hard)

    return Choice(guess, judges.needs(guess, options.recall, _LEAST_BEYOND, price))


def _score(cost: Cost, choice: Choice) -> float:
    """Rate a choice by the time that short and long lists take together."""
    gains = choice.gains(cost)
    return len(gains) / sum(1 / gain for gain in gains.values())


def _ceiling(cost: Cost, rank: int, lengths: list[int]) -> float:
    gains = [cost.gain(rank, 0, k + _LEAST_BEYOND) for k in lengths]
    return len(gains) / sum(1 / gain for gain in gains)
