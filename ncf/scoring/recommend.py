"""Recommendations by raw id: what ``ncf recommend`` prints and the server answers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncf.errors import RequestError
from ncf.policies import ColdUser, Policy
from ncf.scoring.bundle import Bundle
from ncf.scoring.ranking import GraphRanker, check_k


@dataclass(frozen=True)
class Wishes:
    """What a list may hold.

    Parameters
    ----------
    k : int
        Items at most, at least 1.
    exclude : tuple of str
        Raw ids left out; unknown ones have no effect.
    candidates : tuple of str, or None
        Raw ids that alone may be listed; an unknown one is an error.
    include_seen : bool
        Whether seen items may be listed.
    """

    k: int = 10
    exclude: tuple[str, ...] = ()
    candidates: tuple[str, ...] | None = None
    include_seen: bool = False


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
    ranker : GraphRanker
        Ranks the users that the model knows.
    """

    def __init__(self, bundle: Bundle, ranker: GraphRanker) -> None:
        self._bundle = bundle
        self._ranker = ranker
        self._cold_user = ColdUser(bundle.manifest["cold_user"])

    def recommend(self, user: str, wishes: Wishes) -> Recommendation:
        """Top-K items of a user; the popular ones for a user the model does not know.

        Raises
        ------
        UsageError
            ``k`` is less than 1.
        RequestError
            A candidate is unknown, or the user is and the bundle was exported to refuse that.
        """
        check_k(wishes.k)
        unwanted = self._unwanted(wishes)
        index = self._bundle.users.index(user)
        if index is None:
            return self._popular(user, wishes.k, unwanted)
        if not wishes.include_seen:
            unwanted[self._bundle.seen.of(index)] = True
        (items,) = np.nonzero(unwanted)
        pairs = np.stack([np.zeros_like(items), items], axis=1)
        top = self._ranker.rank_masked(np.array([index], np.int64), pairs, wishes.k)
        valid = top.valid()
        found = zip(top.items[valid].tolist(), top.scores[valid].tolist(), strict=True)
        return Recommendation(user, Policy.MODEL, tuple(self._scored(*each) for each in found))

    def history(self, user: str) -> tuple[Scored, ...]:
        """List a user's known interactions in order of item index; empty for an unknown user."""
        index = self._bundle.users.index(user)
        if index is None:
            return ()
        return tuple(self._scored(item) for item in self._bundle.seen.of(index).tolist())

    def _unwanted(self, wishes: Wishes) -> npt.NDArray[np.bool_]:
        ids = self._bundle.items
        unwanted = np.zeros(len(ids), np.bool_)
        if wishes.candidates is not None:
            wanted = ids.indices(wishes.candidates)
            if (wanted < 0).any():
                raw = wishes.candidates[int(np.argmin(wanted))]
                raise RequestError(f"unknown item {raw!r} in 'candidates'", code="unknown_item")
            unwanted[:] = True
            unwanted[wanted] = False
        excluded = ids.indices(wishes.exclude)
        unwanted[excluded[excluded >= 0]] = True
        return unwanted

    def _popular(self, user: str, k: int, unwanted: npt.NDArray[np.bool_]) -> Recommendation:
        if self._cold_user is ColdUser.ERROR:
            raise RequestError(f"unknown user {user!r}", code="unknown_user", http_status=404)
        popular = self._bundle.popular
        items = popular[~unwanted[popular]][:k].tolist()
        return Recommendation(user, Policy.POPULAR, tuple(self._scored(item) for item in items))

    def _scored(self, item: int, score: float | None = None) -> Scored:
        ids = self._bundle.items
        return Scored(ids.raw[item], ids.title(item), score)
