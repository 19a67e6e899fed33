"""Ratings and times in columns that have a type, as Parquet and frames do."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ncf.columns import Columns
from ncf.data.ratings import RATE_IT, Numbers, Times
from ncf.data.timestamps import Clock
from ncf.data.values import Rows, numbers_or_blank, refuse_infinite, refuse_where

DATE_THEM = "give each row a time, or leave the column out"


def rating_numbers(column: pa.ChunkedArray, rows: Rows, *, may_be_blank: bool) -> Numbers:
    """Read ratings; those that are missing become NaN where they may be.

    Raises
    ------
    RatingsError
        One is missing or no finite number; the message names the row.
    """
    if not _is_number(column.type):
        texts = texts_of(column)
        return numbers_or_blank(texts, rows, Columns.RATING, RATE_IT, may_be_blank=may_be_blank)
    found: Numbers = column.cast(pa.float64(), safe=False).to_numpy()
    if np.isfinite(found).all():
        return found
    missing = np.isnan(found)  # pandas' NaN, and null
    if not may_be_blank:
        refuse_where(pa.array(missing), rows, f"{Columns.RATING} is missing", RATE_IT)
    refuse_infinite(np.where(missing, 0, found), rows, Columns.RATING, RATE_IT)
    return found


def moments(column: pa.ChunkedArray, rows: Rows, clock: Clock) -> Times:
    """Read times of any type in milliseconds.

    Raises
    ------
    RatingsError
        One is missing, implausible, or in another unit than those before.
    """
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if column.null_count:
        refuse_where(column.is_null(), rows, "timestamp is missing", DATE_THEM)
    if pa.types.is_signed_integer(column.type):
        return clock.whole(column.cast(pa.int64()).to_numpy(), rows)
    if _is_number(column.type):
        return clock.unix(column.cast(pa.float64(), safe=False).to_numpy(), rows)
    if not pa.types.is_timestamp(column.type):
        return clock.milliseconds(texts_of(column), rows)
    cast = column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
    times: Times = cast.to_numpy()
    refuse_where(pa.array(times < 0), rows, "timestamp is before 1970", DATE_THEM)
    return times


def texts_of(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values as strings, for the readers of text; what is missing becomes an empty string."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        texts = column.cast(pa.string())
    except pa.ArrowNotImplementedError:  # lists and the like
        texts = pa.chunked_array([pa.array([str(each) for each in column.to_pylist()])])
    return pc.fill_null(texts, "")


def _is_number(kind: Any) -> bool:  # noqa: ANN401 - types of Arrow have no common name here
    types = pa.types
    return bool(
        types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    ) and not types.is_dictionary(kind)
