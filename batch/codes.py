"""Turn parts of any style into lists of item codes, which two runs share."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.options import Layout
from batch.tables import Style
from ncf.columns import Columns
from ncf.policies import Policy

POLICIES = tuple(policy.value for policy in Policy)
"""A policy's position is its code."""

Codes = npt.NDArray[np.int32]


class ItemCodes:
    """Numbers raw item ids in the order in which they come.

    Examples
    --------
    >>> codes = ItemCodes()
    >>> codes.of(pa.array(["50", "181", "50"])).tolist()
    [0, 1, 0]
    >>> codes.raw
    ['50', '181']
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        """Count of items so far."""
        return len(self._numbers)

    @property
    def raw(self) -> list[str]:
        """Raw ids by code."""
        return list(self._numbers)

    def of(self, ids: pa.Array) -> Codes:
        """Give the numbers of some ids, int32 of shape ``(n,)``."""
        encoded = ids.dictionary_encode()
        numbers = self._numbers
        known = [numbers.setdefault(raw, len(numbers)) for raw in encoded.dictionary.to_pylist()]
        found: Codes = np.array(known, np.int32)[encoded.indices.to_numpy()]
        return found


def coded_lists(table: pa.Table, style: Style, items: ItemCodes) -> pa.Table:
    """Give a part as one row a user: ``user``, lists ``items`` and ``scores``, and ``policy``.

    Users without an item are left out. Items and policies are codes, and a missing score is NaN.
    """
    if style.layout is Layout.LIST:
        table = table.filter(pc.greater(pc.list_value_length(table[Columns.ITEM_IDS]), 0))
        ids, scores = (whole(table[name]) for name in (Columns.ITEM_IDS, Columns.SCORES))
        counts = pc.list_value_length(ids).to_numpy(zero_copy_only=False)
        starts, users = np.append(0, np.cumsum(counts)), whole(table[Columns.USER_ID])
        policy, ids, scores = whole(table[Columns.POLICY]), ids.flatten(), scores.flatten()
    else:
        rows, ids, scores = (
            whole(table[name]) for name in (Columns.USER_ID, Columns.ITEM_ID, Columns.SCORE)
        )
        numbers = rows.dictionary_encode().indices.to_numpy()
        begins = np.flatnonzero(np.diff(numbers, prepend=-1))
        starts, first = np.append(begins, len(rows)), pa.array(begins)
        users, policy = rows.take(first), whole(table[Columns.POLICY]).take(first)
    offsets = pa.array(starts.astype(np.int32))
    values = scores.fill_null(float("nan"))
    coded = pa.array(items.of(ids))
    return pa.table(
        {
            "user": users,
            "items": pa.ListArray.from_arrays(offsets, coded),
            "scores": pa.ListArray.from_arrays(offsets, values),
            "policy": pc.index_in(policy, pa.array(POLICIES)).cast(pa.int8()),
        }
    )


def padded(lists: pa.ChunkedArray, k: int, *, pad: float) -> npt.NDArray[np.generic]:
    """Give the first ``k`` of each list as a row; short ones are padded at the end."""
    array = whole(lists)
    counts = pc.list_value_length(array).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = array.flatten().to_numpy(zero_copy_only=False)
    rows = np.repeat(np.arange(counts.size), counts)
    columns = np.arange(flat.size) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = columns < k
    matrix = np.full((counts.size, k), pad, flat.dtype)
    matrix[rows[kept], columns[kept]] = flat[kept]
    return matrix


def whole(column: pa.ChunkedArray) -> pa.Array:
    """Give a column as one array; a filter or a join leaves it in several."""
    found = column.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)
