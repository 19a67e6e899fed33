"""Make a frame of users' top-K lists."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from ncf.api.options import Ids
from ncf.columns import Columns
from ncf.data.raw_ids import raw_ids
from ncf.errors import NcfError, UsageError
from ncf.scoring.queries import Recommendation, Request, Wishes
from ncf.scoring.recommend import Recommender

_USERS_AT_ONCE = 256  # in one call of the graph


def requests_of(
    users: Sequence[str] | None, history: Mapping[str | int, Ids] | Ids | None, wishes: Wishes
) -> list[Request]:
    """Make a request for each user, and for each other user with a history.

    Raises
    ------
    UsageError
        Neither a user nor a history is given, or a history without a name beside users.
    """
    if history is None and users is None:
        raise UsageError("neither `users` nor `history` is given", remedy="give one or both")
    if history is not None and not isinstance(history, Mapping):
        if users is not None:
            raise UsageError(
                "`history` does not say whose it is", remedy="give a dict: {user: [items]}"
            )
        return [Request("", replace(wishes, history=tuple(raw_ids(history, "history"))))]
    given: dict[str, tuple[str, ...]] = {}
    for user, items in (history or {}).items():
        (raw,) = raw_ids(user, "history")
        if raw in given:
            raise UsageError(f"`history` names {raw!r} twice", remedy="give each user once")
        given[raw] = tuple(raw_ids(items, "history"))
    everyone = list(given) if users is None else users
    if extra := given.keys() - set(everyone):
        raise UsageError(f"`history` names {min(extra)!r}, whom `users` does not")
    return [Request(user, replace(wishes, history=given.get(user))) for user in everyone]


def lists_frame(recommender: Recommender, requests: Sequence[Request]) -> pd.DataFrame:
    """Answer requests, in blocks, and make a frame with rows in their order.

    Raises
    ------
    UsageError, RequestError
        As :meth:`Recommender.recommend` raises them.
    """
    names = (Columns.USER_ID, Columns.RANK, Columns.ITEM_ID, Columns.TITLE, Columns.SCORE)
    rows = _rows(recommender, requests)
    frame = pd.DataFrame(list(rows), columns=[*names, Columns.POLICY])
    return frame.astype({Columns.RANK: np.int64, Columns.SCORE: np.float64})


def _rows(recommender: Recommender, requests: Sequence[Request]) -> Iterator[tuple[Any, ...]]:
    waiting = iter(requests)
    while block := list(islice(waiting, _USERS_AT_ONCE)):
        for found in recommender.recommend_all(block):
            if isinstance(found, NcfError):
                raise found
            yield from _ranked(found)


def _ranked(found: Recommendation) -> Iterator[tuple[Any, ...]]:
    for rank, each in enumerate(found.items, 1):
        yield found.user, rank, each.item, each.title, each.score, found.policy.value
