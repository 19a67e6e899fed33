"""Codes of raw ids over all blocks of a source; whole numbers stay numbers to the end."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Number = TypeVar("Number", bound=np.number)

_ALWAYS = 1 << 22  # entries of a table that are no burden: 16 MiB
_A_ROW = 4  # entries for each row read so far: a table as sparse as a hash table


class Growing(Generic[Number]):
    """An array that grows by blocks, with room for all rows from the start where they are known.

    Joining blocks at the end would take their memory twice, and the time to touch it.

    Examples
    --------
    >>> rows = Growing(np.int64)
    >>> rows.extend(np.array([1, 2])), rows.extend(np.array([3]))
    (None, None)
    >>> rows.whole().tolist()
    [1, 2, 3]
    """

    def __init__(self, kind: type[Number]) -> None:
        self._array: npt.NDArray[Number] = np.empty(0, kind)
        self._size = 0

    def __len__(self) -> int:
        """Count of rows so far."""
        return self._size

    def expect(self, rows: int) -> None:
        """Make room for so many rows; memory is taken only when they are written."""
        if rows > self._array.size:
            array = np.empty(rows, self._array.dtype)
            array[: self._size] = self.whole()
            self._array = array

    def add(self, rows: int) -> npt.NDArray[Number]:
        """Add rows and give the place where to write them."""
        end = self._size + rows
        if end > self._array.size:
            self.expect(max(end, 2 * self._array.size))
        place = self._array[self._size : end]
        self._size = end
        return place

    def extend(self, values: npt.NDArray[Number]) -> None:
        """Add the rows of a block."""
        self.add(values.size)[:] = values

    def whole(self) -> npt.NDArray[Number]:
        """Give all rows so far, as a view."""
        return self._array[: self._size]


@dataclass
class WholeCodes:
    """Gives codes to whole numbers, by first appearance, with a table over the range they span.

    Looking a number up takes a fifth of the time of hashing it, and most ids are numbers from a
    counter.
    """

    _low: int = 0
    _table: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    _rows: int = 0
    _distinct: Growing[np.int64] = field(default_factory=lambda: Growing(np.int64))

    def add_codes(self, values: npt.NDArray[np.int64], to: Growing[np.int32]) -> bool:
        """Add the codes of a block; return False, and add none, if the numbers spread too far.

        Parameters
        ----------
        values : int64 array of shape (rows,)
            At least one.
        to : Growing
            Where to add them, int32.
        """
        self._rows += values.size
        if not self._covers(int(values.min()), int(values.max())):
            return False
        places = values - self._low
        codes = to.add(values.size)
        # Any mode but "raise" writes to its place without a copy; all are within the table.
        np.take(self._table, places, out=codes, mode="clip")
        unknown = codes < 0
        if unknown.any():
            fresh = places[unknown]
            distinct = pc.unique(pa.array(fresh)).to_numpy()
            count = len(self._distinct)
            self._table[distinct] = np.arange(count, count + distinct.size)
            self._distinct.extend(distinct + self._low)
            codes[unknown] = self._table[fresh]
        return True

    def numbers(self) -> pa.Array:
        """Give the distinct numbers by code, int64."""
        return pa.array(self._distinct.whole())

    def _covers(self, low: int, high: int) -> bool:
        """Make the table span these two numbers too; say no where it would be too large."""
        size = self._table.size
        if size:
            low, high = min(low, self._low), max(high, self._low + size - 1)
        limit = max(_ALWAYS, _A_ROW * self._rows)
        if high - low >= limit:
            return False
        if not size or high - low >= size:
            # Twice the range, so that ids that grow with the rows do not copy it for each block.
            wider = np.full(min(limit, 2 * (high - low + 1)), -1, np.int32)
            start = self._low - low if size else 0
            wider[start : start + size] = self._table
            self._low, self._table = low, wider
        return True


@dataclass
class IdCodes:
    """Collects the ids of one column, block by block, and gives codes into distinct texts.

    Examples
    --------
    >>> ids = IdCodes()
    >>> ids.add_whole(np.array([7, 5, 7]))
    >>> ids.add(pa.array(["5", "007"]).dictionary_encode())
    >>> ids.whole().to_pylist(), ids.whole().dictionary.to_pylist()
    (['7', '5', '7', '5', '007'], ['7', '5', '007'])
    """

    _parts: list[pa.DictionaryArray] = field(default_factory=list)
    _numbers: WholeCodes = field(default_factory=WholeCodes)
    _codes: Growing[np.int32] = field(default_factory=lambda: Growing(np.int32))

    def expect(self, rows: int) -> None:
        """Make room for so many whole numbers."""
        self._codes.expect(rows)

    def add(self, ids: pa.DictionaryArray) -> None:
        """Add a block of int32 codes into distinct strings, by first appearance."""
        self._close()
        self._parts.append(ids)

    def add_whole(self, values: npt.NDArray[np.int64]) -> None:
        """Add a block of whole numbers, int64 of shape ``(rows,)``; there may be none."""
        if not values.size:
            return
        if self._numbers.add_codes(values, self._codes):
            return
        encoded = pa.array(values).dictionary_encode()
        texts = encoded.dictionary.cast(pa.string())
        self.add(pa.DictionaryArray.from_arrays(encoded.indices, texts))

    def whole(self) -> pa.DictionaryArray:
        """Put the blocks together: int32 codes into distinct strings, by first appearance."""
        self._close()
        if not self._parts:
            return pa.array([], pa.string()).dictionary_encode()
        if len(self._parts) > 1:
            joined = pa.chunked_array(self._parts).unify_dictionaries()
            self._parts = [joined.combine_chunks()]
        return self._parts[0]

    def _close(self) -> None:
        """Turn the blocks of numbers so far into a part."""
        if len(self._codes):
            texts = self._numbers.numbers().cast(pa.string())
            codes = pa.array(self._codes.whole())
            self._parts.append(pa.DictionaryArray.from_arrays(codes, texts))
            self._codes, self._numbers = Growing(np.int32), WholeCodes()
