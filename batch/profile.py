"""Figures of one table: how many lists there are, and how they spread over the catalogue."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.codes import POLICIES
from ncf.policies import Policy

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Catalogue:
    """What is known of all items.

    Parameters
    ----------
    size : int
        Count of items that may be listed, with those that were listed and are unknown.
    information : float64 array or None
        By item code, minus the binary logarithm of the share of users who know the item.
    """

    size: int
    information: npt.NDArray[np.float64] | None = None


@dataclass
class Profile:
    """Sums over the lists of one run.

    Parameters
    ----------
    exposure : int64 array
        In how many lists each item is, by code.
    policies : int64 array
        Users by policy.
    scores : list
        Count, sum and sum of squares of the scores.
    longest : int
        Length of the longest list.
    scored, flat : int
        Lists of two and more scores; those of them whose scores are all equal.
    """

    exposure: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    policies: Counts = field(default_factory=lambda: np.zeros(len(POLICIES), np.int64))
    scores: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    longest: int = 0
    scored: int = 0
    flat: int = 0

    def add(self, lists: pa.Table, n_items: int) -> None:
        """Add lists of :func:`batch.codes.coded_lists`; so many items have codes by now."""
        if not lists.num_rows:
            return
        self.exposure = np.pad(self.exposure, (0, n_items - self.exposure.size))
        codes = pc.list_flatten(lists["items"]).to_numpy()
        self.exposure += np.bincount(codes, minlength=n_items)
        self.policies += np.bincount(lists["policy"].to_numpy(), minlength=len(POLICIES))
        scores = pc.list_flatten(lists["scores"]).to_numpy().astype(np.float64)
        known = scores[np.isfinite(scores)]
        self.scores += (known.size, known.sum(), (known * known).sum())
        counts = pc.list_value_length(lists["items"]).to_numpy().astype(np.int64)
        self.longest = max(self.longest, int(counts.max()))
        ends = np.cumsum(counts)
        spread = scores[ends - counts] - scores[ends - 1]  # NaN where there are no scores
        several = (counts > 1) & np.isfinite(spread)
        self.scored += int(several.sum())
        self.flat += int((spread[several] == 0).sum())

    def figures(self, catalogue: Catalogue) -> dict[str, object]:
        """Give the figures.

        Source of novelty, the mean self-information of a listed item: Zhou et al., "Solving the
        apparent diversity-accuracy dilemma of recommender systems", PNAS 107(10), 2010.
        """
        users, rows = int(self.policies.sum()), int(self.exposure.sum())
        count, total, squares = self.scores.tolist()
        mean = total / count if count else None
        spread = max(0.0, squares / count - mean**2) ** 0.5 if mean is not None else None
        popular = int(self.policies[POLICIES.index(Policy.POPULAR)])
        listed = int((self.exposure > 0).sum())
        novelty = None
        if catalogue.information is not None and rows:
            known = catalogue.information[: self.exposure.size]
            novelty = float(self.exposure @ known) / rows
        return {
            "users": users,
            "rows": rows,
            "users_by_policy": dict(zip(POLICIES, self.policies.tolist(), strict=True)),
            "popular_share": popular / users if users else 0.0,
            "items": listed,
            "coverage": listed / catalogue.size if catalogue.size else 0.0,
            "gini": gini(self.exposure, catalogue.size),
            "top_percent_share": top_share(self.exposure, catalogue.size),
            "novelty": novelty,
            "score_mean": mean,
            "score_deviation": spread,
            "constant_lists": self.flat / self.scored if self.scored else 0.0,
        }


def lorenz(exposure: Counts, size: int, points: int = 50) -> list[float]:
    """Give the share of all places that the least listed items have, for growing shares of items.

    Examples
    --------
    >>> lorenz(np.array([3, 1]), 4, 2)
    [0.0, 0.0, 1.0]
    """
    held = np.zeros(size + 1)
    held[size - exposure.size + 1 :] = np.sort(exposure)
    total = np.cumsum(held)
    at = np.linspace(0, size, points + 1).round().astype(np.int64)
    shares: list[float] = (total[at] / max(1.0, float(total[-1]))).round(5).tolist()
    return shares


def gini(exposure: Counts, size: int) -> float:
    """Measure how unequally the places of lists fall on items: 0 is equal, 1 is all on one.

    Source: Damgaard and Weiner, "Describing inequality in plant size or fecundity", Ecology
    81(4), 2000, the biased estimator.

    Parameters
    ----------
    exposure : int64 array
        Places of each item.
    size : int
        Count of items; those beyond ``exposure`` have no place.

    Examples
    --------
    >>> gini(np.array([5, 5]), 2), gini(np.array([8]), 4)
    (0.0, 0.75)
    """
    total = int(exposure.sum())
    if not total:
        return 0.0
    held = np.sort(exposure[exposure > 0]).astype(np.float64)
    ranks = np.arange(size - held.size + 1, size + 1)
    return float(2 * (ranks @ held) / (size * total) - (size + 1) / size)


def top_share(exposure: Counts, size: int) -> float:
    """Give the share of all places that the most listed percent of items has, rounded up.

    Examples
    --------
    >>> top_share(np.array([6, 2, 2]), 3)
    0.6
    """
    total = int(exposure.sum())
    if not total:
        return 0.0
    return float(np.sort(exposure)[::-1][: -(-size // 100)].sum() / total)
