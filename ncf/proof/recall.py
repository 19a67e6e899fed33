"""Measure the recall of screened lists against exact ones, and bound it from a sample.

There are two ways, for two kinds of sample:

* :func:`recalls` and :func:`mean_lower_bound` compare some users' lists with their exact lists.
  The sampling unit is the user, so misses may come in clusters. Recalls are in [0, 1] and nearly
  all are 1, where a normal interval has no width; so the bound is by betting.
* :class:`PairSample` counts misses among random pairs of user and item, which are scored exactly
  and compared with the last entry of that user's list. The sampling unit is the pair, so clusters
  do no harm, and for lists of K items the same proof takes K times less arithmetic.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import pdtr

from ncf.proof.tolerance import tolerances
from ncf.scoring.ranker import TopK

CONFIDENCE = 0.95
_STAKES = np.array([1.0, 0.9, 0.75, 0.5])  # of the largest bet that one 0 cannot ruin
_SHARES = np.array([0.7, 0.1, 0.1, 0.1])
_STEPS = 60
_STAKE = 0.2  # misses that the test is sharpest at, as a share of those that the contract allows
_MOST_MISSES = 200  # that an audit is sized for


def recalls(found: TopK, exact: TopK) -> npt.NDArray[np.float64]:
    """Compute the share of each user's exact list that was found, float64 of shape ``(n,)``.

    An item counts as found if its score is at least that of the last entry of the exact list, so
    ties and differences that rounding explains are no misses. A user with an empty list has
    recall 1.

    Examples
    --------
    >>> exact = TopK(np.array([[2, 0]]), np.array([[3.0, 2.0]], np.float32))
    >>> found = TopK(np.array([[2, 1]]), np.array([[3.0, 1.0]], np.float32))
    >>> recalls(found, exact).tolist()
    [0.5]
    """
    wanted = exact.valid().sum(axis=1)
    last = exact.scores[np.arange(len(wanted)), np.maximum(wanted - 1, 0)]
    enough = found.scores >= (last - tolerances(exact.scores))[:, None]
    hits = np.minimum(np.count_nonzero(enough & found.valid(), axis=1), wanted)
    shares = np.ones(len(wanted))
    np.divide(hits, wanted, out=shares, where=wanted > 0)
    return shares


def mean_lower_bound(values: npt.NDArray[np.float64], confidence: float = CONFIDENCE) -> float:
    """Bound a mean of values in [0, 1] from below, one-sided, at any sample size.

    For a supposed mean m, one bets on each value x at odds that are fair under m: the capital is
    multiplied by ``1 + s (x - m) / m``. If the mean is m, the expected capital does not grow,
    whatever the order and the distribution, so it exceeds ``1 / (1 - confidence)`` with
    probability at most ``1 - confidence`` (Markov's inequality). The bound is the largest m for
    which it does. The stakes s are fixed, and the capital is split over four of them: the highest
    does best where nearly all values are 1.

    The sample may be with or without replacement: without, the expected product of terms is an
    elementary symmetric mean, which is at most the power of their mean (Maclaurin).

    Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting",
    J. Royal Statistical Society B 86(1), 2024, section 4, with constant stakes.

    Parameters
    ----------
    values : float64 array of shape (n,)
        In [0, 1]; one for each independently sampled unit, such as a user's recall.
    confidence : float
        In (0, 1).

    Returns
    -------
    float
        The bound, in [0, 1]. With n values of 1 it is about ``1 - 3.2 / n`` at 95 %.

    Examples
    --------
    >>> round(mean_lower_bound(np.ones(1000)), 4)
    0.9968
    """
    low, high = 0.0, 1.0
    goal = -math.log(1 - confidence)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _log_capital(values, middle) >= goal:
            low = middle
        else:
            high = middle
    return low


def _log_capital(values: npt.NDArray[np.float64], mean: float) -> float:
    growth = 1 + _STAKES[:, None] * (values[None] - mean) / mean
    with np.errstate(divide="ignore"):
        logs = np.log(growth).sum(axis=1) + np.log(_SHARES)
    return float(np.logaddexp.reduce(logs))


@dataclass(frozen=True)
class PairSample:
    """A count of misses among random pairs scored exactly; ``+`` adds samples of disjoint users.

    A pair is a miss if the item may be listed and is not, and its score is higher than the last
    entry of the user's list or that list is not full. Every item of an exact list that is not in
    the screened one is a miss, so ``1 - misses / listed`` over the whole population is at most
    the recall averaged over listed items.

    The bound is that of a sequential test, so pairs may be drawn in any number of rounds, and one
    may look after each and go on or stop. For a supposed number L of misses in the population,
    drawing a pair multiplies a capital by ``exp(L (1 - s) / population)``, and a miss multiplies it
    by the stake s = 0.2 besides. If there are L misses or more, the capital is not expected to
    grow: a trial of probability p is expected to multiply it by ``1 - (1 - s) p``, which is at most
    ``exp(-(1 - s) p)``. So it ever exceeds ``1 / (1 - confidence)`` with probability at most ``1 -
    confidence`` (Ville's inequality), however users differ and whatever made one stop. The bound
    is the least L at which it exceeds that.

    The lists may be improved between rounds: a better list misses some of the same pairs and no
    other, so its capital is never lower than that of a worse one, and the capital of the best
    lists that are still under a contract bounds the probability to publish any such lists.

    Sources: Wald, "Sequential tests of statistical hypotheses", Annals of Mathematical Statistics
    16(2), 1945; Ville, "Etude critique de la notion de collectif", 1939; Robbins, "Statistical
    methods related to the law of the iterated logarithm", Annals of Mathematical Statistics 41(5),
    1970 (tests of power one).

    Parameters
    ----------
    drawn : float
        Expected number of pairs drawn, at equal rates for all users.
    missed : int
        Misses among the pairs drawn.
    population : int
        Pairs that could have been drawn: users times items.
    listed : int
        Entries of all lists of the population.

    Examples
    --------
    >>> sample = PairSample(1000.0, 0, 40_000, 400) + PairSample(1000.0, 1, 40_000, 400)
    >>> sample.recall()
    0.95
    >>> round(sample.lower_bound(), 3)
    0.712
    """

    drawn: float = 0.0
    missed: int = 0
    population: int = 0
    listed: int = 0

    def __add__(self, other: "PairSample") -> "PairSample":
        return PairSample(
            self.drawn + other.drawn,
            self.missed + other.missed,
            self.population + other.population,
            self.listed + other.listed,
        )

    def recall(self) -> float:
        """Estimate the recall, in [0, 1]."""
        return self._recall(float(self.missed))

    def lower_bound(self, confidence: float = CONFIDENCE) -> float:
        """Bound the recall from below, one-sided, in [0, 1], at any time."""
        return self._recall(misses_proven(self.missed, confidence))

    def _recall(self, misses: float) -> float:
        if not self.listed:
            return float(self.missed == 0)
        if not self.drawn:
            return 0.0
        return max(0.0, 1 - misses / self.drawn * self.population / self.listed)


def misses_proven(missed: int, confidence: float = CONFIDENCE) -> float:
    """Bound the expected number of misses in a sample from above, by the number found.

    Examples
    --------
    >>> [round(misses_proven(missed), 2) for missed in (0, 1, 2)]
    [3.74, 5.76, 7.77]
    """
    return (missed * -math.log(_STAKE) - math.log(1 - confidence)) / (1 - _STAKE)


def misses_to_allow(rate: float, power: float, confidence: float = CONFIDENCE) -> int | None:
    """Count the misses that an audit must allow, so that it nearly always proves the contract.

    Parameters
    ----------
    rate : float
        Misses to expect, as a share of those that the contract allows.
    power : float
        Least probability that an audit of that size draws no more.
    confidence : float
        Of the proof.

    Returns
    -------
    int or None
        None if no audit of a reasonable size does.

    Examples
    --------
    >>> misses_to_allow(0.02, 0.99), misses_to_allow(0.2, 0.99), misses_to_allow(0.9, 0.99)
    (1, 11, None)
    """
    for missed in range(_MOST_MISSES):
        if pdtr(missed, rate * misses_proven(missed, confidence)) >= power:
            return missed
    return None


def pairs_needed(
    recall: float, k: int, n_items: int, confidence: float = CONFIDENCE, *, misses: int = 0
) -> int:
    """Count the pairs that prove a recall below 1 for full lists of K, given a number of misses.

    At 95 % and without misses it is about ``3.7 n_items / ((1 - recall) k)``. That is the
    arithmetic of ``3.7 / ((1 - recall) k)`` users' exact lists, K times less than comparing whole
    lists takes.

    Examples
    --------
    >>> pairs_needed(0.999, 10, 3533)
    1322991
    """
    most = misses_proven(misses, confidence)
    return math.ceil(most * n_items / ((1 - recall) * min(k, n_items)))
