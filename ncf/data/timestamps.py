"""Read timestamps: Unix time in one of three units, or ISO 8601, one unit throughout a file."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncf.columns import Columns
from ncf.data.values import Rows, cast, first_failing, numbers, refuse_where
from ncf.errors import RatingsError

_MILLISECONDS_FROM = 10**11  # seconds reach this in the year 5138, milliseconds did in 1973
_MICROSECONDS_FROM = 10**14  # milliseconds reach this in the year 5138, microseconds did in 1973
_ABSURD_FROM = 10**17  # microseconds reach this in the year 5138
_UNITS = (
    ("seconds", 0, _MILLISECONDS_FROM, 1000.0),
    ("milliseconds", _MILLISECONDS_FROM, _MICROSECONDS_FROM, 1.0),
    ("microseconds", _MICROSECONDS_FROM, _ABSURD_FROM, 0.001),
)
_UTC = r"\s*(UTC|GMT)$"
_TIMES = "give Unix seconds, or ISO 8601, throughout"


class Clock:
    """Reads the timestamps of a file block by block, and refuses a change of unit."""

    def __init__(self) -> None:
        self._first_lines: dict[str, int] = {}

    def milliseconds(self, column: pa.ChunkedArray, rows: Rows) -> npt.NDArray[np.int64]:
        """Read the timestamps of a block, int64 of shape ``(rows,)``, in milliseconds.

        Raises
        ------
        RatingsError
            A timestamp is malformed or implausible, or in another unit than those before.
        """
        try:
            cast(column.slice(0, 1))
        except pa.ArrowInvalid:
            return self._iso(column, rows)
        return self.unix(numbers(column, rows, Columns.TIMESTAMP, _TIMES), rows)

    def unix(self, found: npt.NDArray[np.float64], rows: Rows) -> npt.NDArray[np.int64]:
        """Turn the Unix times of a block into milliseconds, int64 of shape ``(rows,)``.

        Raises
        ------
        RatingsError
            One is implausible, or in another unit than those before.
        """
        if not found.size:
            return np.empty(0, np.int64)
        bad = ~((found >= 0) & (found < _ABSURD_FROM))
        if bad.any():
            refuse_where(pa.array(bad), rows, "timestamp is not a plausible Unix time", _TIMES)
        positive = found > 0  # zero is zero in all units
        low, high = found.min(where=positive, initial=_ABSURD_FROM), found.max()
        scale = 1000.0
        for unit, start, stop, factor in _UNITS:
            if low < stop and high >= start:
                within = (found >= start) & (found < stop) & positive
                if within.any():
                    self._note(unit, within, rows)
                    scale = factor
        return np.rint(found * scale).astype(np.int64)

    def whole(self, found: npt.NDArray[np.int64], rows: Rows) -> npt.NDArray[np.int64]:
        """Turn Unix times that are whole numbers into milliseconds, as :meth:`unix` does.

        Raises
        ------
        RatingsError
            As for :meth:`unix`.
        """
        if found.size and found.min() > 0:
            for unit, start, stop, factor in _UNITS[:2]:
                if found.min() >= start and found.max() < stop:
                    self._note(unit, np.ones(1, np.bool_), rows)
                    return found * np.int64(factor)
        return self.unix(found.astype(np.float64), rows)  # mixed, or microseconds, or zeros

    def _iso(self, column: pa.ChunkedArray, rows: Rows) -> npt.NDArray[np.int64]:
        try:
            times = _moments(column)
        except pa.ArrowInvalid as error:
            row = first_failing(column, _moments)
            text = column[row].as_py()
            raise rows.error(row, f"timestamp {text!r} is not understood", _TIMES) from error
        refuse_where(pa.array(times < 0), rows, "timestamp is before 1970", _TIMES)
        self._note("ISO 8601", np.ones(times.size, np.bool_), rows)
        return times

    def _note(self, unit: str, found: npt.NDArray[np.bool_], rows: Rows) -> None:
        if unit in self._first_lines or not found.any():
            return
        self._first_lines[unit] = rows.line(int(np.argmax(found)))
        if len(self._first_lines) > 1:
            each = (f"{unit} ({rows.noun} {n})" for unit, n in self._first_lines.items())
            raise RatingsError(
                f"timestamps in {' and '.join(each)} are mixed",
                where=rows.at(max(self._first_lines.values())),
                remedy="give all timestamps in one unit",
            )


def _moments(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Parse ISO 8601 texts to milliseconds; all have a zone or none has (then it is UTC)."""
    text = pc.utf8_trim_whitespace(column)
    if pc.any(pc.match_substring_regex(text.slice(0, 1), _UTC)).as_py():
        text = pc.replace_substring_regex(text, _UTC, "Z")
    try:
        moments = text.cast(pa.timestamp("ns", tz="UTC"))
    except pa.ArrowInvalid:
        moments = text.cast(pa.timestamp("ns"))
    nanoseconds: npt.NDArray[np.int64] = moments.cast(pa.int64()).to_numpy()
    return nanoseconds // 1_000_000
