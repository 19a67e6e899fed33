"""Read raw ids from columns and lists: strings and whole numbers become strings."""

from collections.abc import Iterable
from typing import Any, TypeAlias, Union

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ncf.data.id_types import TAKEN, id_column
from ncf.data.values import NAME_IT, Rows, refuse_where
from ncf.errors import RatingsError

Values: TypeAlias = Union[
    "pd.Series[Any]", "pd.Index[Any]", pa.Array, pa.ChunkedArray, npt.NDArray[np.generic], list[Any]
]
"""A column of a pandas or Arrow table, or a list."""


def id_texts(values: Values, name: str, rows: Rows) -> pa.StringArray:
    """Read raw ids as strings, and refuse missing and blank ones.

    Parameters
    ----------
    values : Series, Index, Arrow array, NumPy array or list
        Strings, whole numbers, or categories of these.
    name : str
        Name of the column, for messages.
    rows : Rows
        Names rows in messages.

    Raises
    ------
    RatingsError
        An id is missing or blank, or is neither a string nor a whole number.

    Examples
    --------
    >>> from ncf.data.frames import FrameRows
    >>> id_texts([7, "007"], "user_id", FrameRows()).to_pylist()
    ['7', '007']
    >>> id_texts(pd.Series(["a", "b", "a"], dtype="category"), "item_id", FrameRows()).to_pylist()
    ['a', 'b', 'a']
    """
    column = _arrow(values, name, rows)
    if not len(column):  # an empty column may have any type
        return pa.array([], pa.string())
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_floating(kind):
        raise _floats(column.cast(kind), name)
    try:
        texts = id_column(column)
    except pa.ArrowInvalid as error:
        problem = f"{name} holds bytes that are not UTF-8"
        raise RatingsError(problem, remedy=TAKEN) from error
    if texts is None:
        raise RatingsError(f"{name} is of type {kind}", remedy=TAKEN)
    refuse_where(texts.is_null(), rows, f"{name} is missing", NAME_IT)
    blank = pc.equal(pc.utf8_trim_whitespace(texts), "")
    refuse_where(blank, rows, f"{name} is blank", NAME_IT)
    whole: pa.StringArray = texts.combine_chunks()
    return whole


def raw_ids(values: object, name: str) -> list[str]:
    """Turn one id, or any sequence or column of ids, into a list of strings.

    Parameters
    ----------
    values : str, int, iterable of these, or a column of a frame
        The ids.
    name : str
        Name of the parameter, for messages.

    Raises
    ------
    RatingsError
        An id is missing or blank, or is neither a string nor a whole number.

    Examples
    --------
    >>> raw_ids("196", "users"), raw_ids(range(3), "users"), raw_ids(np.array([7]), "users")
    (['196'], ['0', '1', '2'], ['7'])
    """
    if isinstance(values, str | int | np.integer):
        values = [values]
    if isinstance(values, bytes | dict) or not isinstance(values, Iterable):
        raise RatingsError(f"`{name}` is of type {type(values).__name__}", remedy=TAKEN)
    columns = pd.Series | pd.Index | pa.Array | pa.ChunkedArray | np.ndarray
    listed = values if isinstance(values, columns) else list(values)
    texts: list[str] = id_texts(listed, f"`{name}`", _Entries()).to_pylist()
    return texts


class _Entries:
    """Names the entries of a list in messages."""

    noun = "entry"

    def line(self, row: int) -> int:
        return row

    def at(self, number: int) -> str:
        return f"entry {number}"

    def error(self, row: int, problem: str, remedy: str | None = None) -> RatingsError:
        return RatingsError(problem, where=self.at(row), remedy=remedy)


def _arrow(values: Values, name: str, rows: Rows) -> pa.ChunkedArray:
    if isinstance(values, pa.ChunkedArray):
        return values
    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowTypeError, pa.ArrowInvalid):  # objects of several types
        array = pa.array([_text(each, row, name, rows) for row, each in enumerate(values)])
    except UnicodeEncodeError as error:
        raise RatingsError(f"{name} is not Unicode text ({error})", remedy=TAKEN) from error
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _text(value: object, row: int, name: str, rows: Rows) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(value)
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    raise rows.error(row, f"{name} is {value!r}, a {type(value).__name__}", TAKEN)


def _floats(column: pa.ChunkedArray, name: str) -> RatingsError:
    numbers = column.to_numpy()
    present = numbers[np.isfinite(numbers)]
    if np.array_equal(present, np.floor(present)):
        problem = f"{name} holds whole numbers as floats, as a column with a gap does"
        return RatingsError(problem, remedy="make them whole with astype('Int64')")
    return RatingsError(f"{name} holds floats", remedy=TAKEN)
