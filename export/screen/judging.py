"""Judge a guess on users whose exact lists are known: how many candidates, and whom to doubt."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from export.screen.sampling import ExactLogits, Lists, best_lists, blocks, places
from ncf.graphs.screen import Guess
from ncf.graphs.tower import Floats

Doubles = npt.NDArray[np.float64]

_ROOM = 0.02  # share of the allowed misses that the choosing group may use up
_BEYOND = 2.0  # factor on the candidates beyond K that the choosing group needed
_BEYOND_REST = 1.35  # the same for the users who are left when doubtful ones are ranked exactly
_STEPS = 1.3  # between counts of candidates that are tried
_DOUBTED = 2.0  # factor on the share of users that has to be ranked exactly
_MOST_DOUBTED = 0.05  # share of users
_ROUND = 8
_MOST_TRIED = 1024


@dataclass(frozen=True)
class Needs:
    """What lists of one length need, for the recall that is wanted.

    Parameters
    ----------
    candidates : int
        Items to score exactly for each user.
    least_margin : float or None
        Users whose margin is lower are ranked exactly; None for nobody.
    hard : float
        Their share.
    """

    candidates: int
    least_margin: float | None = None
    hard: float = 0.0


@dataclass(frozen=True)
class Judges:
    """The choosing group: its users, their exact logits, and their exact lists.

    Parameters
    ----------
    exact : ExactLogits
        Knows rows and seen items.
    users : int64 array of shape (n,)
        The users.
    logits : float32 array of shape (n, items)
        Their exact logits; minus infinity for what they have seen.
    truth : Lists
        Their best items.
    lengths : list of int
        Lengths of lists.
    """

    exact: ExactLogits
    users: npt.NDArray[np.int64]
    logits: Floats
    truth: Lists
    lengths: list[int]

    @classmethod
    def of(cls, exact: ExactLogits, users: npt.NDArray[np.int64], lengths: list[int]) -> "Judges":
        """Score the users exactly."""
        logits = exact.tower(users)
        for at in blocks(users):
            logits[at] = exact.complete(logits[at], users[at])
        return cls(exact, users, logits, best_lists(logits, lengths[-1]), lengths)

    def places(self, guess: Guess) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Guess the users' logits, and find the rank of each best item there, ``(n, k)``."""
        guesses = [
            self.exact.masked(guess.logits(self.exact.rows(self.users[at])), self.users[at])
            for at in blocks(self.users)
        ]
        guessed = np.concatenate(guesses)
        return guessed, places(guessed, self.truth)

    def needs(
        self, guess: Guess, recall: float, least: int, price: Callable[[Needs], float]
    ) -> dict[int, Needs]:
        """Find the cheapest way to the recall for each length of list.

        Candidates grow until they hold the best items of every user, with a margin for other
        users; or they hold those of nearly every user, and the users whose margin is low are
        ranked exactly. ``least`` is the fewest candidates beyond K.
        """
        guessed, found = self.places(guess)
        ordered = _Ordered(self.logits, guessed, _MOST_TRIED)
        needs: dict[int, Needs] = {}
        fewest = 0
        for k in self.lengths:
            valid = self.truth.valid[:, :k]
            allowed = int(np.count_nonzero(valid) * (1 - recall) * _ROOM)
            worst = np.where(valid, found[:, :k], 0)
            flat = self._flat(worst, k, allowed, least)
            ways = [Needs(max(fewest, flat))]
            count = max(fewest, _rounded(k + least))
            while count < min(ways[0].candidates, ordered.most):
                doubtful = self._doubtful(ordered, worst.max(axis=1), k, count)
                if doubtful is not None:
                    ways.append(doubtful)
                count = _rounded(max(count + _ROUND, k + _STEPS * (count - k)))
            needs[k] = min(ways, key=price)
            fewest = needs[k].candidates
        return needs

    def _flat(self, worst: npt.NDArray[np.int64], k: int, allowed: int, least: int) -> int:
        """Count candidates for all users alike."""
        last = int(np.sort(worst, axis=None)[worst.size - 1 - allowed])
        wanted = k + max(least, round(_BEYOND * max(0, last - k)))
        return min(_rounded(wanted), int(self.logits.shape[1]))

    def _doubtful(
        self, ordered: "_Ordered", worst: npt.NDArray[np.int64], k: int, count: int
    ) -> Needs | None:
        """Find the margin under which all users lie whose best items are no candidates."""
        bad = worst > count
        if np.count_nonzero(bad) > _MOST_DOUBTED / _DOUBTED * bad.size:
            return None
        margins = ordered.margins(k, count)
        wanted = np.count_nonzero(margins <= margins[bad].max(initial=-np.inf)) / bad.size
        share = _DOUBTED * (wanted + 1 / bad.size)
        if share > _MOST_DOUBTED:
            return None
        least = float(np.quantile(margins, share))
        last = int(worst[margins >= least].max(initial=0))
        enough = count >= k + _BEYOND_REST * (last - k)
        return Needs(count, least, share) if enough else None


class _Ordered:
    """The best guesses of users in order, with the exact logits of the same items."""

    def __init__(self, logits: Floats, guessed: Floats, most: int) -> None:
        most = min(most, guessed.shape[1])
        best = np.argpartition(-guessed, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(guessed, best, axis=1), axis=1)
        best = np.take_along_axis(best, order, axis=1)
        self.most = most
        self._guessed = np.take_along_axis(guessed, best, axis=1)
        self._exact = np.take_along_axis(logits, best, axis=1)
        with np.errstate(invalid="ignore"):  # what was seen is minus infinity in both
            errors = (self._exact - self._guessed).astype(np.float64)
        self._sums, self._squares = errors.cumsum(axis=1), (errors**2).cumsum(axis=1)

    def margins(self, k: int, count: int) -> Doubles:
        """Compute margins as the graph does (:mod:`ncf.graphs.screen`), by user."""
        lowest = self._guessed[:, count - 1].astype(np.float64)
        last = np.partition(self._exact[:, :count], count - k, axis=1)[:, count - k]
        mean = self._sums[:, count - 1] / count
        variance = np.maximum(self._squares[:, count - 1] / count - mean**2, 1e-30)
        with np.errstate(invalid="ignore"):
            margins = (last - lowest - mean) / np.sqrt(variance)
        return np.where(np.isfinite(lowest), margins, np.inf)


def _rounded(count: float) -> int:
    return int(-(-round(count) // _ROUND) * _ROUND)
