"""Choose settings by climbing: from the best so far, try the next value of each setting in turn."""

from collections.abc import Callable, Mapping, Sequence
from math import inf

Settings = Mapping[str, float]


def climb(
    ladders: Mapping[str, Sequence[float]],
    start: Settings,
    measure: Callable[[Settings], float],
    most: int,
) -> list[tuple[Settings, float]]:
    """Try settings until no neighbour is better, or so many were tried.

    Parameters
    ----------
    ladders : mapping
        Values of each setting, ascending; a setting with one value stays as it is.
    start : mapping
        One value of each ladder.
    measure : callable
        Worth of some settings, more is better.
    most : int
        Most settings to try, at least 1.

    Returns
    -------
    list of (mapping, float)
        What was tried, in order, with its worth.

    Examples
    --------
    >>> tried = climb({"x": [1, 2, 3, 4]}, {"x": 2}, lambda values: -abs(values["x"] - 3), 9)
    >>> [values["x"] for values, _ in tried]
    [2, 3, 4]
    """
    tries = _Tries(measure, most)
    best, value = dict(start), tries.worth(start)
    moved = True
    while moved:
        moved = False
        for name, ladder in ladders.items():
            for others in _ways(ladder, best[name]):
                before = best
                for each in others:
                    other = {**best, name: each}
                    found = tries.worth(other)
                    if found <= value:
                        break
                    best, value, moved = other, found, True
                if best is not before:
                    break  # what is on the other side is worse than where the climb came from
    return tries.found


class _Tries:
    """Measures settings once each, and no more than so many."""

    def __init__(self, measure: Callable[[Settings], float], most: int) -> None:
        self.found: list[tuple[Settings, float]] = []
        self._measure, self._most = measure, most

    def worth(self, settings: Settings) -> float:
        """Measure settings; those that would be one too many are worth nothing."""
        for known, value in self.found:
            if known == settings:
                return value
        if len(self.found) >= self._most:
            return -inf
        self.found.append((settings, self._measure(settings)))
        return self.found[-1][1]


def _ways(ladder: Sequence[float], value: float) -> tuple[Sequence[float], Sequence[float]]:
    """Give the values above and those below, the nearest first."""
    at = list(ladder).index(value)
    return ladder[at + 1 :], list(reversed(ladder[:at]))
