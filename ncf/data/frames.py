"""Read ratings from data frames: find columns by usual names, and keep ids as strings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ncf.columns import Columns, columns_named
from ncf.data.raw_ids import Values, id_texts
from ncf.data.readers import GIVE_SOME, RATE_IT, Ratings
from ncf.data.timestamps import Clock
from ncf.data.values import numbers, refuse_where
from ncf.errors import RatingsError, UsageError

Frame: TypeAlias = pd.DataFrame | pa.Table
"""A table in memory: a pandas DataFrame or an Arrow table."""

_DATE_THEM = "give each row a time, or leave the column out"


@dataclass(frozen=True)
class FrameRows:
    """Names rows of a frame in messages.

    Parameters
    ----------
    labels : sequence, Index or None
        The index of a pandas frame; None counts from 0.
    """

    labels: "Sequence[object] | pd.Index[Any] | None" = None

    @property
    def noun(self) -> str:
        """Word that messages use for a row."""
        return "row"

    def line(self, row: int) -> int:
        """Return the position itself, which is what a frame's rows are counted by."""
        return row

    def at(self, number: int) -> str:
        """Name the row at a position by its label."""
        label = number if self.labels is None else self.labels[number]
        return f"row {label}"

    def error(self, row: int, problem: str, remedy: str | None = None) -> RatingsError:
        """Make the error that names the row at a position."""
        return RatingsError(problem, where=self.at(row), remedy=remedy or "correct the frame")


def rows_of(frame: Frame) -> FrameRows:
    """Tell how messages name the rows of a frame."""
    return FrameRows(frame.index if isinstance(frame, pd.DataFrame) else None)


def column_of(frame: Frame, column: str, *, required: bool = True) -> Values | None:
    """Find a column by any of its usual names.

    Raises
    ------
    RatingsError
        The column is required and missing, or several columns match.
    """
    names = list(frame.columns if isinstance(frame, pd.DataFrame) else frame.column_names)
    found = columns_named(column, [name for name in names if isinstance(name, str)])
    if len(found) > 1 or names.count(found[0] if found else None) > 1:
        several = " and ".join(map(repr, dict.fromkeys(found)))
        raise RatingsError(f"{several} all match {column}", remedy=f"keep one, as {column!r}")
    if not found and required:
        listed = ", ".join(map(repr, names[:8]))
        raise RatingsError(
            f"no column {column!r} among {listed}", remedy=f"rename the column of ids to {column!r}"
        )
    return frame[found[0]] if found else None


def read_ids_of(frame: Frame, column: str) -> pa.StringArray:
    """Read the ids of a column, in the order of the rows."""
    values = column_of(frame, column)
    if values is None:  # not possible: the column is required above
        raise AssertionError
    return id_texts(values, column, rows_of(frame))


def read_frame(frame: Frame, *, min_rating: float | None = None) -> Ratings:
    """Read the rows of a frame, as :func:`ncf.data.readers.read_ratings` reads those of a file.

    Parameters
    ----------
    frame : DataFrame or pyarrow.Table
        Has columns of users and items, and may have ratings and timestamps, under usual names
        (see :func:`ncf.columns.usual_column`); other columns are ignored.
    min_rating : float, optional
        Rows rated lower are left out, as if they were not there.

    Raises
    ------
    RatingsError
        A column is missing or ambiguous, or a value cannot be used; the message names the row.
    UsageError
        ``min_rating`` is given and the frame has no ratings.

    Examples
    --------
    >>> frame = pd.DataFrame({"userId": [7, 7, 8], "movieId": ["a", "b", "a"]})
    >>> ratings = read_frame(frame)
    >>> ratings.users.to_pylist(), ratings.items.dictionary.to_pylist()
    (['7', '7', '8'], ['a', 'b'])
    """
    users, items = (read_ids_of(frame, name) for name in (Columns.USER_ID, Columns.ITEM_ID))
    if not len(users):
        raise RatingsError("the frame has no row", remedy=GIVE_SOME)
    given = column_of(frame, Columns.RATING, required=False)
    times = _timestamps(frame)
    dropped = 0
    if given is None and min_rating is not None:
        raise UsageError(
            "`min_rating` is given and the frame has no rating column",
            remedy="leave `min_rating` out, or add the column",
        )
    if given is not None:
        found = numbers(_texts(given), rows_of(frame), Columns.RATING, RATE_IT)
        if min_rating is not None:
            keep = found >= min_rating
            dropped = int(np.count_nonzero(~keep))
            users, items = (each.filter(pa.array(keep)) for each in (users, items))
            times = None if times is None else times[keep]
            if not len(users):
                problem = f"none of the {dropped:,} rows reaches `min_rating`"
                raise RatingsError(problem, remedy="give a lower one")
    return Ratings(users.dictionary_encode(), items.dictionary_encode(), times, dropped)


def read_titles_of(titles: "Frame | Mapping[object, str]") -> dict[str, str]:
    """Read titles by item: a mapping, or a frame with a column of items and one of titles.

    Items without a title are left out.

    Raises
    ------
    RatingsError
        A column is missing, an id cannot be used, or an item has two titles.

    Examples
    --------
    >>> read_titles_of(pd.DataFrame({"movieId": [1, 2], "title": ["Toy Story", None]}))
    {'1': 'Toy Story'}
    >>> read_titles_of({1: "Toy Story"})
    {'1': 'Toy Story'}
    """
    if isinstance(titles, Mapping):
        items = id_texts(list(titles), Columns.ITEM_ID, FrameRows()).to_pylist()
        return {item: str(title) for item, title in zip(items, titles.values(), strict=True)}
    rows, found = rows_of(titles), dict[str, str]()
    column = column_of(titles, Columns.TITLE)
    items = read_ids_of(titles, Columns.ITEM_ID).to_pylist()
    for row, (item, title) in enumerate(zip(items, _texts(column).to_pylist(), strict=True)):
        if title and found.setdefault(item, title) != title:
            raise rows.error(row, f"item {item!r} has two titles", "keep one of them")
    return found


def _timestamps(frame: Frame) -> npt.NDArray[np.int64] | None:
    values = column_of(frame, Columns.TIMESTAMP, required=False)
    if values is None:
        return None
    rows, column = rows_of(frame), _arrow(values)
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    refuse_where(column.is_null(), rows, "timestamp is missing", _DATE_THEM)
    if not pa.types.is_timestamp(column.type):
        return Clock().milliseconds(_texts(values), rows)
    moments = column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
    times: npt.NDArray[np.int64] = moments.to_numpy()
    refuse_where(pa.array(times < 0), rows, "timestamp is before 1970", "correct the frame")
    return times


def _texts(values: Values | None) -> pa.ChunkedArray:
    """Turn values into strings for the readers of files; a missing one becomes an empty string."""
    column = _arrow(values)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        texts = column.cast(pa.string())
    except pa.ArrowNotImplementedError:  # lists and the like
        texts = pa.chunked_array([pa.array([str(each) for each in column.to_pylist()])])
    return pc.fill_null(texts, "")


def _arrow(values: Values | None) -> pa.ChunkedArray:
    if isinstance(values, pa.ChunkedArray):
        return values
    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowTypeError, pa.ArrowInvalid):  # objects of several types
        array = pa.array([str(each) for each in pd.Series(values, dtype=object).fillna("")])
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
