"""Recall of screened lists against exact ones, and what a sample of it proves.

Two ways to look, for two kinds of sample:

* :func:`recalls` and :func:`mean_lower_bound`: some users' lists against their exact lists. The
  sampling unit is the user, so that misses may come in clusters. Recalls lie in [0, 1] and are
  nearly all 1, where a normal interval has no width: the bound here is by betting.
* :class:`PairSample`: random pairs of user and item, scored exactly and compared with the last
  entry of that user's list. The sampling unit is the pair, so that clusters do no harm, and a
  list of K items takes K times less arithmetic for the same proof.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv

from ncf.proof.tolerance import tolerances
from ncf.scoring.ranker import TopK

CONFIDENCE = 0.95
_STAKES = np.array([1.0, 0.9, 0.75, 0.5])  # of the largest bet that cannot lose all on a 0
_SHARES = np.array([0.7, 0.1, 0.1, 0.1])
_STEPS = 60


def recalls(found: TopK, exact: TopK) -> npt.NDArray[np.float64]:
    """Share of each user's exact list that was found, float64 of shape ``(n,)``.

    Whatever scores at least as much as the last entry of the exact list belongs to it: ties, and
    differences that rounding explains, are not missed. A user with nothing to list has recall 1.
    """
    wanted = exact.valid().sum(axis=1)
    last = exact.scores[np.arange(len(wanted)), np.maximum(wanted - 1, 0)]
    enough = found.scores >= (last - tolerances(exact.scores))[:, None]
    hits = np.minimum(np.count_nonzero(enough & found.valid(), axis=1), wanted)
    shares = np.ones(len(wanted))
    np.divide(hits, wanted, out=shares, where=wanted > 0)
    return shares


def mean_lower_bound(values: npt.NDArray[np.float64], confidence: float = CONFIDENCE) -> float:
    """One-sided lower confidence bound for a mean of values in [0, 1], at any sample size.

    For a supposed mean m, one bets on each value x at odds fair under m: capital grows by
    ``1 + s (x - m) / m``. Whatever the order and the distribution, the capital is expected not to
    grow, so that it passes ``1 / (1 - confidence)`` with probability ``1 - confidence`` at most
    (Markov's inequality); the bound is the largest m under which it did. Stakes s are fixed, and
    shared out over four of them: the highest does best where nearly all values are 1.

    Values may come from a sample with or without replacement: without, the expected product of
    terms is an elementary symmetric mean, at most the power of their mean (Maclaurin).

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
        In [0, 1]. With n perfect values about ``1 - 3.4 / n`` at 95 %.
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
    """Random pairs of user and item, scored exactly; samples of disjoint users add up with ``+``.

    A pair is a miss where the item may be listed, is not, and scores higher than the last entry
    of the user's list, or where that list is not full. Every item of an exact list that is not in
    the screened one is a miss, so that ``1 - misses / listed`` over the whole population is at
    most the recall averaged over listed items.

    The bound is Garwood's for a Poisson mean. It holds whatever the users have in common: pairs
    are drawn independently from a fixed population, so that the count is a sum of independent
    trials, which is no more spread than a binomial count of the same mean (Hoeffding), nor that
    than a Poisson one (Anderson and Samuels), where it matters here: below the mean.

    Sources: Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28(3/4), 1936;
    Hoeffding, "On the distribution of the number of successes in independent trials", Annals of
    Mathematical Statistics 27(3), 1956, theorem 4; Anderson and Samuels, "Some inequalities among
    binomial and Poisson probabilities", Fifth Berkeley Symposium, 1967.

    Parameters
    ----------
    drawn : float
        Expected number of pairs drawn, at equal rates for all users.
    missed : int
        Misses among those that were.
    population : int
        Pairs that could have been drawn: users times items.
    listed : int
        Entries of all the lists of the population.
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
        """One-sided lower confidence bound of the recall, in [0, 1]."""
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
    """Pairs that prove a recall below 1 for full lists of K, although so many of them are misses.

    At 95 % and without misses about ``3 n_items / ((1 - recall) k)``: the arithmetic of
    ``3 / ((1 - recall) k)`` users' exact lists, K times less than looking at whole lists takes.
    """
    most = float(gammaincinv(misses + 1, confidence))
    return math.ceil(most * n_items / ((1 - recall) * min(k, n_items)))
