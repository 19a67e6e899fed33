"""Read numbers from string columns, and find the line of the first value that is wrong."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncf.errors import RatingsError

NAME_IT = "give each row an id, or leave the row out"


class Rows(Protocol):
    """Names the rows of a file or a frame in messages."""

    @property
    def noun(self) -> str:
        """``"line"`` for a file, or ``"row"`` for a frame."""
        ...

    def error(self, row: int, problem: str, remedy: str | None = None) -> RatingsError:
        """Make the error that names a row, counted from 0."""
        ...

    def line(self, row: int) -> int:
        """Give the number of a row, counted from 0, in its file or frame."""
        ...

    def at(self, number: int) -> str:
        """Name the place of a number that :meth:`line` gave."""
        ...


def numbers(
    column: pa.ChunkedArray, rows: Rows, name: str, remedy: str | None = None
) -> npt.NDArray[np.float64]:
    """Read a column of finite numbers.

    Raises
    ------
    RatingsError
        The message names the line.
    """
    try:
        found = cast(column)
    except pa.ArrowInvalid as error:
        row = first_failing(column, cast)
        raise rows.error(row, f"{name} {column[row].as_py()!r} is not a number", remedy) from error
    refuse_infinite(found, rows, name, remedy)
    return found


def numbers_or_blank(
    column: pa.ChunkedArray, rows: Rows, name: str, remedy: str, *, may_be_blank: bool
) -> npt.NDArray[np.float64]:
    """Read finite numbers; NaN stands for a blank, where there may be blanks.

    Raises
    ------
    RatingsError
        The message names the line.
    """
    try:
        found = cast(column)
    except pa.ArrowInvalid:
        blank = pc.equal(pc.utf8_trim_whitespace(column), "")
    else:
        refuse_infinite(found, rows, name, remedy)
        return found
    if not may_be_blank:
        refuse_where(blank, rows, f"{name} is blank", remedy)
    found = numbers(pc.if_else(blank, "0", column), rows, name, remedy)
    return np.where(blank.to_numpy(), np.nan, found)


def refuse_infinite(
    found: npt.NDArray[np.float64], rows: Rows, name: str, remedy: str | None
) -> None:
    """Refuse the first number that is NaN or infinite, if any."""
    wrong = ~np.isfinite(found)
    if wrong.any():
        refuse_where(pa.array(wrong), rows, f"{name} is not finite", remedy)


def cast(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Read numbers, with or without spaces around them; Arrow raises its own error for others."""
    try:
        found: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:  # spaces are rare, and cutting them off takes time
        found = pc.utf8_trim_whitespace(column).cast(pa.float64()).to_numpy()
    return found


def first_failing(column: pa.ChunkedArray, convert: Callable[[pa.ChunkedArray], object]) -> int:
    """Find the first row that does not convert; at least one row must not."""
    low, high = 0, len(column)
    while high - low > 1:  # rows before low convert; one of low..high does not
        middle = (low + high) // 2
        try:
            convert(column.slice(low, middle - low))
        except pa.ArrowInvalid:
            high = middle
        else:
            low = middle
    return low


def refuse_where(
    bad: pa.Array | pa.ChunkedArray, rows: Rows, problem: str, remedy: str | None = None
) -> None:
    """Raise an error for the first bad row, if there is one.

    Raises
    ------
    RatingsError
        The message names the line.
    """
    row = pc.index(bad, value=True).as_py()
    if row >= 0:
        raise rows.error(row, problem, remedy)


def refuse_blank(table: pa.Table, rows: Rows, name: str) -> None:
    """Raise an error for the first blank id, if there is one.

    Raises
    ------
    RatingsError
        The message names the line.
    """
    refuse_where(
        pc.equal(pc.utf8_trim_whitespace(table[name]), ""), rows, f"{name} is blank", NAME_IT
    )
