"""Read ratings from data frames: find columns by usual names, and keep ids as strings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa

from ncf.columns import Columns, columns_named
from ncf.data.naming import Naming
from ncf.data.parts import parts_of
from ncf.data.ratings import Collected, Ratings, Reading
from ncf.data.raw_ids import Values, id_texts
from ncf.data.timestamps import Clock
from ncf.data.typed_columns import moments, rating_numbers, texts_of
from ncf.errors import RatingsError, UsageError

Frame: TypeAlias = pd.DataFrame | pa.Table
"""A table in memory: a pandas DataFrame or an Arrow table."""


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


def column_of(
    frame: Frame, column: str, *, required: bool = True, naming: Naming | None = None
) -> Values | None:
    """Find a column by the name that the caller gave, or by any of its usual names.

    Raises
    ------
    RatingsError
        The column is required and missing, or several columns match.
    """
    names = list(frame.columns if isinstance(frame, pd.DataFrame) else frame.column_names)
    given = {} if naming is None else naming.names
    free = [name for name in names if isinstance(name, str) and name not in given.values()]
    found = columns_named(column, free)
    if column in given:
        found = [name for name in names if str(name) == given[column]]
        if not found:
            listed = ", ".join(map(repr, names[:12]))
            raise RatingsError(
                f"no column {given[column]!r} among {listed}",
                remedy="give `columns` a name of the frame",
            )
    if len(found) > 1 or names.count(found[0] if found else None) > 1:
        several = " and ".join(map(repr, dict.fromkeys(found)))
        raise RatingsError(
            f"{several} all match {column}", remedy=f"keep one, as {column!r}, or give `columns`"
        )
    if not found and required:
        listed = ", ".join(map(repr, names[:8]))
        raise RatingsError(
            f"no column {column!r} among {listed}",
            remedy=f"rename the column to {column!r}, or give `columns`",
        )
    return frame[found[0]] if found else None


def read_ids_of(frame: Frame, column: str, naming: Naming | None = None) -> pa.StringArray:
    """Read the ids of a column, in the order of the rows."""
    values = column_of(frame, column, naming=naming)
    if values is None:  # not possible: the column is required above
        raise AssertionError
    return id_texts(values, column, rows_of(frame))


def read_frame(
    frame: Frame, *, min_rating: float | None = None, naming: Naming | None = None
) -> Ratings:
    """Read the rows of a frame, as :func:`ncf.data.readers.read_ratings` reads those of a file.

    Parameters
    ----------
    frame : DataFrame or pyarrow.Table
        Has columns of users and items, and may have ratings and timestamps, under usual names
        (see :func:`ncf.columns.usual_column`); other columns are ignored.
    min_rating : float, optional
        Pairs whose latest rating is lower are left out, as if they were not there.
    naming : Naming, optional
        Columns that the caller named.

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
    users, items = (read_ids_of(frame, name, naming) for name in (Columns.USER_ID, Columns.ITEM_ID))
    given = column_of(frame, Columns.RATING, required=False, naming=naming)
    times = column_of(frame, Columns.TIMESTAMP, required=False, naming=naming)
    if given is None and min_rating is not None:
        raise UsageError(
            "`min_rating` is given and the frame has no rating column",
            remedy="leave `min_rating` out, or add the column",
        )
    rows, collected = rows_of(frame), Collected(min_rating)
    parts = None
    if naming is not None and naming.parts:
        parts = parts_of(_arrow(column_of(frame, Columns.PART, naming=naming)), rows)
    rating = None
    if given is not None:
        rating = rating_numbers(_arrow(given), rows, may_be_blank=min_rating is None)
    time = None if times is None else moments(_arrow(times), rows, Clock())
    collected.users.add(users.dictionary_encode())
    collected.items.add(items.dictionary_encode())
    collected.add_values(time, rating, parts)
    return collected.ratings(None, Reading())


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
    for row, (item, title) in enumerate(
        zip(items, texts_of(_arrow(column)).to_pylist(), strict=True)
    ):
        if title and found.setdefault(item, title) != title:
            raise rows.error(row, f"item {item!r} has two titles", "keep one of them")
    return found


def _arrow(values: Values | None) -> pa.ChunkedArray:
    if isinstance(values, pa.ChunkedArray):
        return values
    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowTypeError, pa.ArrowInvalid):  # objects of several types
        array = pa.array([str(each) for each in pd.Series(values, dtype=object).fillna("")])
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
