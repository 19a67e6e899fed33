"""Give intervals for figures and for differences between models, by paired bootstrap over users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncf.errors import UsageError

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

CONFIDENCE = 0.95
RESAMPLES = 2000
_SEED = 0


@dataclass(frozen=True)
class OfUsers:
    """A model's figures, summed over each user's cases.

    Parameters
    ----------
    sums : dict
        Sum over each user's cases, float64 of shape ``(n,)``, by name of the figure.
    cases : int array of shape (n,)
        Count of each user's cases, at least 1; equal for all models compared.
    """

    sums: Mapping[str, Floats]
    cases: npt.NDArray[np.integer]

    @classmethod
    def of_cases(cls, values: Mapping[str, Floats], users: npt.NDArray[np.integer]) -> "OfUsers":
        """Sum over the cases of each user; users without a case do not count."""
        distinct, rows = np.unique(users, return_inverse=True)
        sums = {
            name: np.bincount(rows, each, distinct.size).astype(np.float64)
            for name, each in values.items()
        }
        return cls(sums, np.bincount(rows, minlength=distinct.size))


@dataclass(frozen=True)
class Compared:
    """One figure of one model, with its interval and its difference to the first model.

    Parameters
    ----------
    mean : float
        Mean over cases.
    interval : (float, float) or None
        95 % confidence interval of the mean; None for a single user, which gives none.
    difference : float or None
        Difference to the first model's mean; None for the first.
    difference_interval : (float, float) or None
        95 % interval of the difference; where it does not include 0, the models differ.
    """

    mean: float
    interval: Interval | None
    difference: float | None = None
    difference_interval: Interval | None = None


def compare(models: Sequence[OfUsers]) -> list[dict[str, Compared]]:
    """Compare models with the first of them, figure by figure.

    Parameters
    ----------
    models : sequence of OfUsers
        They have the same figures and the same users, in the same order.

    Returns
    -------
    list of dict
        For each model, the figures by name.

    Raises
    ------
    UsageError
        There is no user.
    """
    if not models[0].cases.size:
        raise UsageError("no case can be ranked", remedy="prepare more interactions")
    names, cases = list(models[0].sums), models[0].cases
    values = np.stack([np.stack([model.sums[name] for name in names]) for model in models])
    differences = values[1:] - values[0]
    both = np.concatenate([values, differences]).reshape(-1, cases.size)
    means = both.sum(axis=1) / cases.sum()
    intervals = bootstrap(both, cases)
    compared = [
        dict(zip(names, map(Compared, means[start:], intervals[start:]), strict=False))
        for start in range(0, values.shape[0] * len(names), len(names))
    ]
    for at, (model, name) in enumerate(
        ((model, name) for model in range(1, len(models)) for name in names),
        values.shape[0] * len(names),
    ):
        plain = compared[model][name]
        compared[model][name] = Compared(
            plain.mean, plain.interval, float(means[at]), intervals[at]
        )
    return compared


def bootstrap(
    sums: Floats, cases: npt.NDArray[np.integer], resamples: int = RESAMPLES
) -> list[Interval | None]:
    """Compute intervals of means over cases, by drawing users with replacement.

    A resample draws n of the n users, each with all of their cases. All rows use the same draws,
    so rows that are differences between models are paired. The mean of a resample is the sum over
    the drawn users divided by their count of cases. The interval goes from the 2.5 % to the
    97.5 % percentile of the resamples' means. The seed of the draws is fixed.

    Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993, section 13.3
    (percentile intervals); Cameron, Gelbach and Miller, Review of Economics and Statistics 90(3),
    2008 (pairs cluster bootstrap; here a cluster is a user).

    Parameters
    ----------
    sums : float64 array of shape (rows, n)
        Sum of a figure over each user's cases.
    cases : int array of shape (n,)
        Count of each user's cases.
    resamples : int
        Number of resamples.

    Returns
    -------
    list of (float, float), or of None
        One for each row; None where there is a single user.

    Examples
    --------
    >>> bootstrap(np.array([[1.0, 1.0, 1.0]]), np.array([1, 1, 1]))
    [(1.0, 1.0)]
    """
    rows, n_users = sums.shape
    if n_users < 2:
        return [None] * rows

    rng = np.random.default_rng(_SEED)
    means = np.empty((resamples, rows))
    # The draws and the result are those of scipy.stats.bootstrap(paired=True), but sums are
    # weighted instead of copied for each draw, which takes a fraction of the time.
    for means_of in means:
        drawn = np.bincount(rng.integers(0, n_users, n_users), minlength=n_users)
        # Not sums @ drawn: a BLAS may round equal rows differently at different positions.
        means_of[:] = (sums * drawn).sum(axis=1) / (cases * drawn).sum()
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))
