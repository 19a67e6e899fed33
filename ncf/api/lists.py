"""Make a frame of users' top-K lists."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from ncf.columns import Columns
from ncf.errors import NcfError
from ncf.scoring.queries import Recommendation, Request, Wishes
from ncf.scoring.recommend import Recommender

_USERS_AT_ONCE = 256  # in one call of the graph


def lists_frame(recommender: Recommender, users: Sequence[str], wishes: Wishes) -> pd.DataFrame:
    """Recommend to users, in blocks, and make a frame with rows in the order of the users.

    Raises
    ------
    UsageError, RequestError
        As :meth:`Recommender.recommend` raises them.
    """
    names = (Columns.USER_ID, Columns.RANK, Columns.ITEM_ID, Columns.TITLE, Columns.SCORE)
    rows = _rows(recommender, users, wishes)
    frame = pd.DataFrame(list(rows), columns=[*names, Columns.POLICY])
    return frame.astype({Columns.RANK: np.int64, Columns.SCORE: np.float64})


def _rows(
    recommender: Recommender, users: Sequence[str], wishes: Wishes
) -> Iterator[tuple[Any, ...]]:
    waiting = iter(users)
    while block := [Request(user, wishes) for user in islice(waiting, _USERS_AT_ONCE)]:
        for found in recommender.recommend_all(block):
            if isinstance(found, NcfError):
                raise found
            yield from _ranked(found)


def _ranked(found: Recommendation) -> Iterator[tuple[Any, ...]]:
    for rank, each in enumerate(found.items, 1):
        yield found.user, rank, each.item, each.title, each.score, found.policy.value
