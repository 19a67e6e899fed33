"""Make a frame of scores of pairs of users and items."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ncf.columns import Columns
from ncf.data.frames import Frame, read_ids_of
from ncf.data.id_files import find
from ncf.scoring.bundle import Bundle

if TYPE_CHECKING:
    import onnxruntime as ort

_PAIRS_AT_ONCE = 1 << 16


def scores_frame(
    bundle: Bundle,
    session: "ort.InferenceSession",
    pairs: Frame | Iterable[tuple[str | int, str | int]],
) -> pd.DataFrame:
    """Score pairs with the pair graph, in order; a score is missing where an id is unknown.

    Raises
    ------
    RatingsError
        A column is missing, or an id cannot be used.
    """
    users, items = _pairs(pairs)
    user, item = find(bundle.users, users), find(bundle.items, items)
    known = np.flatnonzero((user >= 0) & (item >= 0))
    scores = np.full(len(users), np.nan, np.float32)
    for start in range(0, known.size, _PAIRS_AT_ONCE):
        rows = known[start : start + _PAIRS_AT_ONCE]
        (scores[rows],) = session.run(["logit"], {"user": user[rows], "item": item[rows]})
    ids = {Columns.USER_ID: users.to_pylist(), Columns.ITEM_ID: items.to_pylist()}
    index = pairs.index if isinstance(pairs, pd.DataFrame) else None
    return pd.DataFrame({**ids, Columns.SCORE: scores}, index=index)


def _pairs(pairs: Any) -> tuple[Any, Any]:  # noqa: ANN401 - as score declares it
    if not isinstance(pairs, Frame):
        listed = list(pairs)
        columns = ([pair[0] for pair in listed], [pair[1] for pair in listed])
        names = (Columns.USER_ID, Columns.ITEM_ID)
        pairs = pd.DataFrame(dict(zip(names, columns, strict=True)), dtype=object)
    return read_ids_of(pairs, Columns.USER_ID), read_ids_of(pairs, Columns.ITEM_ID)
