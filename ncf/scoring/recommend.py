"""Recommendations by raw id: what ``ncf recommend`` prints and the server answers."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ncf.scoring.bundle import Bundle
from ncf.scoring.ranking import Ranker, check_k


class Policy(StrEnum):
    """Where a list comes from."""

    MODEL = "model"
    POPULAR = "popular"


@dataclass(frozen=True)
class Scored:
    """One recommended item.

    Parameters
    ----------
    item : str
        Raw id.
    title : str or None
        Name for people, where known.
    score : float or None
        Logit; None in the popular list.
    """

    item: str
    title: str | None
    score: float | None = None


@dataclass(frozen=True)
class Recommendation:
    """A user's list, best first."""

    user: str
    policy: Policy
    items: tuple[Scored, ...]


class Recommender:
    """Answers for raw user ids.

    Parameters
    ----------
    bundle : Bundle
        Ids, titles, seen items, popularity.
    ranker : Ranker
        Ranks the users that the model knows.
    """

    def __init__(self, bundle: Bundle, ranker: Ranker) -> None:
        self._bundle = bundle
        self._ranker = ranker

    def recommend(self, user: str, k: int) -> Recommendation:
        """Top-K unseen items of a user; the popular items for a user the model does not know.

        Raises
        ------
        UsageError
            ``k`` is less than 1.
        """
        check_k(k)
        index = self._bundle.users.index(user)
        if index is None:
            popular = tuple(self._scored(int(item)) for item in self._bundle.popular[:k])
            return Recommendation(user, Policy.POPULAR, popular)
        top = self._ranker.rank(np.array([index], np.int64), k)
        count = top.counts[0]
        pairs = zip(top.items[0, :count].tolist(), top.scores[0, :count].tolist(), strict=True)
        items = tuple(self._scored(item, score) for item, score in pairs)
        return Recommendation(user, Policy.MODEL, items)

    def history(self, user: str) -> tuple[Scored, ...]:
        """List a user's known interactions in order of item index; empty for an unknown user."""
        index = self._bundle.users.index(user)
        if index is None:
            return ()
        seen = self._bundle.seen
        indices = seen.indices[seen.indptr[index] : seen.indptr[index + 1]]
        return tuple(self._scored(item) for item in indices.tolist())

    def _scored(self, item: int, score: float | None = None) -> Scored:
        ids = self._bundle.items
        return Scored(ids.raw[item], ids.title(item), score)
