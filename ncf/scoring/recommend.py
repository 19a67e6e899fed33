"""Recommend by raw id, as ``ncf recommend`` prints and the server answers."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ncf.errors import NcfError, RequestError
from ncf.policies import ColdUser, Policy
from ncf.scoring.bases import Bases, Basis
from ncf.scoring.bundle import Bundle
from ncf.scoring.queries import HistoryUse, Recommendation, Request, Scored, Wishes, scored_items
from ncf.scoring.ranker import Ranker
from ncf.scoring.screened import Calibration

_NAMED = 1 << 16  # items whose id and title are cached
_NOTHING = np.empty(0, np.int64)
_SHOWN = 80  # characters of an id in a message: a very long one would not fit in an answer


class Recommender:
    """Recommends to raw user ids; close it, or use it in a ``with`` statement, to end its threads.

    Parameters
    ----------
    bundle : Bundle
        Gives ids, titles, seen items and popularity, and folds strangers in.
    ranker : Ranker
        Ranks trained and folded rows; every item must be eligible.
    lanes : int
        Calls of the graph that may run side by side. With a session of one thread this is faster
        than a session of many threads, whose operators are too small to split.
    screen : Ranker, optional
        Ranks the users whose wishes its calibration covers.
    """

    def __init__(
        self,
        bundle: Bundle,
        ranker: Ranker,
        lanes: int = 1,
        screen: Ranker | None = None,
    ) -> None:
        self._bundle = bundle
        self._ranker = ranker
        self._screen = screen
        self._calibration = Calibration.of(bundle)
        self._bases = Bases(bundle)
        self._lanes = lanes
        self._pool = ThreadPoolExecutor(lanes, "ncf-lane") if lanes > 1 else None
        items = bundle.items
        # A few items are in most lists.
        self._named = lru_cache(_NAMED)(lambda item: (items.raw[item], items.title(item)))
        self._cold_user = bundle.manifest.cold_user

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish the work under way and end the threads; no request can be answered after that."""
        if self._pool:
            self._pool.shutdown()

    def recommend(self, user: str, wishes: Wishes) -> Recommendation:
        """Recommend to one user: the user's top K, or the popular items for a stranger.

        A stranger whose history is long enough gets a list by it.

        Raises
        ------
        RequestError
            A candidate is unknown, or the user is a stranger and the bundle refuses strangers.
        """
        (found,) = self.recommend_all([Request(user, wishes)])
        if isinstance(found, NcfError):
            raise found
        return found

    def recommend_all(self, requests: Sequence[Request]) -> list[Recommendation | NcfError]:
        """Answer several requests; those that are ranked share one call of the graph in each lane.

        A user's list does not depend on the other requests. Equal requests are scored once.

        Returns
        -------
        list of Recommendation or NcfError
            One for each request: the answer, or the error that :meth:`recommend` would raise.
        """
        places: dict[Request, int] = {}  # of distinct requests, each hashed once
        order = [places.setdefault(request, len(places)) for request in requests]
        found: dict[int, Recommendation | NcfError] = {}
        ranked: list[_Ranked] = []
        for request, place in places.items():
            try:
                prepared = self._prepare(request, place)
            except NcfError as error:
                found[place] = error
                continue
            if isinstance(prepared, _Ranked):
                ranked.append(prepared)
            else:
                found[place] = prepared
        blocks = []
        for length in sorted({one.length for one in ranked}):
            alike = [one for one in ranked if one.length == length]
            each = min(-(-len(alike) // self._lanes), self._users_at_once(alike))
            blocks += [alike[start : start + each] for start in range(0, len(alike), each)]
        spread = self._pool.map if self._pool and len(blocks) > 1 else map
        for answers in spread(self._rank, blocks):
            found |= answers
        return [found[place] for place in order]

    def _prepare(self, request: Request, place: int) -> "Recommendation | _Ranked":
        user, wishes = request.user, request.wishes
        excluded = self._excluded(wishes)
        index = self._bundle.users.index(user) if user else None
        given, use = self._given(wishes)
        if not wishes.include_seen:
            own = [] if index is None else [self._bundle.seen.of(index)]
            own += [] if given is None else [given]
            one = len(own) == 1 and not excluded.size
            excluded = own[0] if one else np.concatenate([excluded, *own])
        basis = self._bases.find(index, given)
        if basis is None:
            return self._popular(request, excluded, use, known=index is not None)
        if use is not None:
            use = replace(use, refreshed=basis.refreshed)
        return _Ranked(place, request, basis, excluded, self._screened_length(wishes), use)

    def _given(self, wishes: Wishes) -> tuple[npt.NDArray[np.int64] | None, HistoryUse | None]:
        """Look up the items of the history that a request gives."""
        if wishes.history is None:
            return None, None
        distinct = list(dict.fromkeys(wishes.history))
        items = self._bundle.items.indices(distinct) if distinct else np.empty(0, np.int64)
        known = items[items >= 0]
        return known, HistoryUse(known.size, items.size - known.size)

    def _screened_length(self, wishes: Wishes) -> int:
        """Length of the lists that the screen makes for these wishes; 0 means to rank exactly.

        It is a calibrated length that holds K and all excluded items. It is not K itself, so
        that a list does not depend on what others in the batch ask for.
        """
        whole = wishes.exact or wishes.include_seen or wishes.candidates is not None
        if self._screen is None or whole:
            return 0
        # Each excluded item may push the end of the list down by one.
        others = len(wishes.exclude) + len(wishes.history or ())
        found = self._calibration.find(wishes.k + others)
        return found.k if found else 0

    def _users_at_once(self, alike: "Sequence[_Ranked]") -> int:
        """Count the users of one call: the logits of a thousand at once would fill the memory."""
        if self._screen is not None and alike[0].length:
            return self._screen.users_at_once(alike[0].length)
        return self._ranker.users_at_once(max(each.request.wishes.k for each in alike))

    def _rank(self, block: "Sequence[_Ranked]") -> dict[int, Recommendation]:
        rows = self._bases.rows([each.basis for each in block])
        positions = np.repeat(np.arange(len(block)), [each.excluded.size for each in block])
        pairs = np.stack([positions, np.concatenate([each.excluded for each in block])], axis=1)
        wanted = block[0].length
        if self._screen is not None and wanted:
            top = self._screen.rank_rows(rows, pairs, wanted)
        else:
            longest = max(each.request.wishes.k for each in block)
            top = self._ranker.rank_rows(rows, pairs, longest)
        found = {}
        # Entries that count come first in a row.
        counts = top.valid().sum(axis=1).tolist()
        for each, items, scores, count in zip(
            block, top.items.tolist(), top.scores.tolist(), counts, strict=True
        ):
            length = min(count, each.request.wishes.k)
            listed = scored_items(map(self._named, items[:length]), scores)
            policy = each.basis.policy
            found[each.place] = Recommendation(each.request.user, policy, listed, each.use)
        return found

    def history(self, user: str) -> tuple[Scored, ...]:
        """List the items that a user has seen, in order of item index; empty for a stranger."""
        index = self._bundle.users.index(user)
        if index is None:
            return ()
        return tuple(self._scored(item) for item in self._bundle.seen.of(index).tolist())

    def _excluded(self, wishes: Wishes) -> npt.NDArray[np.int64]:
        """Find the item indices that the wishes exclude; repeats are possible."""
        ids = self._bundle.items
        if not wishes.exclude and wishes.candidates is None:
            return _NOTHING
        excluded = ids.indices(wishes.exclude)
        excluded = excluded[excluded >= 0]
        if wishes.candidates is not None:
            wanted = ids.indices(wishes.candidates)
            if (wanted < 0).any():
                raw = wishes.candidates[int(np.argmin(wanted))]
                raise RequestError(
                    f"unknown item {_shown(raw)} in 'candidates'", code="unknown_item"
                )
            others = np.ones(len(ids), np.bool_)
            others[wanted] = False
            excluded = np.concatenate([excluded, np.flatnonzero(others)])
        return excluded

    def _popular(
        self,
        request: Request,
        excluded: npt.NDArray[np.int64],
        use: HistoryUse | None,
        *,
        known: bool,
    ) -> Recommendation:
        user, k = request.user, request.wishes.k
        if self._cold_user is ColdUser.ERROR:
            problem = "no training interaction of user" if known else "unknown user"
            raise RequestError(f"{problem} {_shown(user)}", code="unknown_user", http_status=404)
        popular = self._bundle.popular
        items = popular[~np.isin(popular, excluded)][:k].tolist()
        listed = tuple(self._scored(item) for item in items)
        return Recommendation(user, Policy.POPULAR, listed, use)

    def _scored(self, item: int, score: float | None = None) -> Scored:
        return Scored(*self._named(item), score)


class _Ranked(NamedTuple):
    """A request that is ranked: by what, without which items, in a screened list of what length."""

    place: int
    request: Request
    basis: Basis
    excluded: npt.NDArray[np.int64]
    length: int
    use: HistoryUse | None


def _shown(raw: str) -> str:
    return repr(raw if len(raw) <= _SHOWN else f"{raw[:_SHOWN]}...")
