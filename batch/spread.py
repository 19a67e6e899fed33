"""Mean and quantiles of many shares, in memory that does not grow."""

import numpy as np
import numpy.typing as npt

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95)
_BINS = 10_000


class Spread:
    """Collects shares in [0, 1]; quantiles are rounded to 0.0001.

    Examples
    --------
    >>> spread = Spread()
    >>> spread.add(np.array([0.0, 0.5, 1.0]))
    >>> spread.figures()["mean"], spread.figures()["p50"]
    (0.5, 0.5)
    """

    def __init__(self) -> None:
        self._bins = np.zeros(_BINS + 1, np.int64)
        self._total = 0.0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Add some values."""
        self._bins += np.bincount(np.rint(values * _BINS).astype(np.int64), minlength=_BINS + 1)
        self._total += float(values.sum())

    def histogram(self, bars: int = 20) -> list[int]:
        """Count the values in so many equal ranges of [0, 1]; 1 is in the last.

        Examples
        --------
        >>> spread = Spread()
        >>> spread.add(np.array([0.0, 0.4, 0.5, 1.0]))
        >>> spread.histogram(2)
        [2, 2]
        """
        places = np.minimum(np.arange(_BINS + 1) * bars // _BINS, bars - 1)
        counts: list[int] = np.bincount(places, self._bins, bars).astype(np.int64).tolist()
        return counts

    def figures(self) -> dict[str, float | None]:
        """Give the mean, and quantiles by name: the least value with so many at or below it."""
        count = int(self._bins.sum())
        names = [f"p{round(100 * each):02d}" for each in QUANTILES]
        if not count:
            return dict.fromkeys(["mean", *names])
        ranks = [max(1, int(np.ceil(each * count))) for each in QUANTILES]
        found = np.searchsorted(np.cumsum(self._bins), ranks) / _BINS
        return {"mean": self._total / count, **dict(zip(names, found.tolist(), strict=True))}
