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
from scipy.special import gammaincinv

from ncf.proof.tolerance import tolerances
from ncf.scoring.ranker import TopK

CONFIDENCE = 0.95
_STAKES = np.array([1.0, 0.9, 0.75, 0.5])  # of the largest bet that one 0 cannot ruin
_SHARES = np.array([0.7, 0.1, 0.1, 0.1])
_STEPS = 60


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

    The bound is Garwood's for a Poisson mean. It holds even if users are alike: pairs are drawn
    independently from a fixed population, so the count is a sum of independent trials. Such a sum
    is less spread than a binomial count of the same mean (Hoeffding), and that less than a Poisson
    count (Anderson and Samuels), below the mean, which is the side that matters here.

    Sources: Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28(3/4), 1936;
    Hoeffding, "On the distribution of the number of successes in independent trials", Annals of
    Mathematical Statistics 27(3), 1956, theorem 4; Anderson and Samuels, "Some inequalities among
    binomial and Poisson probabilities", Fifth Berkeley Symposium, 1967.

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
    0.763
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
        """Bound the recall from below, one-sided, in [0, 1]."""
        return self._recall(float(gammaincinv(self.missed + 1, confidence)))

    def _recall(self, misses: float) -> float:
        if not self.listed:
            return float(self.missed == 0)
        if not self.drawn:
            return 0.0
        return max(0.0, 1 - misses / self.drawn * self.population / self.listed)


def pairs_needed(
    recall: float, k: int, n_items: int, confidence: float = CONFIDENCE, *, misses: int = 0
) -> int:
    """Count the pairs that prove a recall below 1 for full lists of K, given a number of misses.

    At 95 % and without misses it is about ``3 n_items / ((1 - recall) k)``. That is the arithmetic
    of ``3 / ((1 - recall) k)`` users' exact lists, K times less than comparing whole lists takes.

    Examples
    --------
    >>> pairs_needed(0.999, 10, 3533)
    1058393
    """
    most = float(gammaincinv(misses + 1, confidence))
    return math.ceil(most * n_items / ((1 - recall) * min(k, n_items)))
