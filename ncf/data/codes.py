"""Codes of raw ids over all blocks of a source; whole numbers stay numbers to the end."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_ALWAYS = 1 << 22  # entries of a table that are no burden: 16 MiB
_A_ROW = 4  # entries for each row read so far: a table as sparse as a hash table


@dataclass
class WholeCodes:
    """Gives codes to whole numbers, by first appearance, with a table over the range they span.

    Looking a number up takes a fifth of the time of hashing it, and most ids are numbers from a
    counter.
    """

    _low: int = 0
    _table: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    _rows: int = 0
    _count: int = 0
    _distinct: list[npt.NDArray[np.int64]] = field(default_factory=list)

    def codes(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int32] | None:
        """Give the codes of a block, int32 of the same shape; None if the numbers spread too far.

        Parameters
        ----------
        values : int64 array of shape (rows,)
            At least one.
        """
        self._rows += values.size
        if not self._covers(int(values.min()), int(values.max())):
            return None
        places = values - self._low
        codes = self._table[places]
        unknown = codes < 0
        if unknown.any():
            fresh = places[unknown]
            distinct = pc.unique(pa.array(fresh)).to_numpy()
            self._table[distinct] = np.arange(self._count, self._count + distinct.size)
            self._count += distinct.size
            self._distinct.append(distinct + self._low)
            codes[unknown] = self._table[fresh]
        return codes

    def numbers(self) -> pa.Array:
        """Give the distinct numbers by code, int64."""
        return pa.array(np.concatenate(self._distinct))

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
    _blocks: list[npt.NDArray[np.int32]] = field(default_factory=list)

    def add(self, ids: pa.DictionaryArray) -> None:
        """Add a block of int32 codes into distinct strings, by first appearance."""
        self._close()
        self._parts.append(ids)

    def add_whole(self, values: npt.NDArray[np.int64]) -> None:
        """Add a block of whole numbers, int64 of shape ``(rows,)``; there may be none."""
        if not values.size:
            return
        codes = self._numbers.codes(values)
        if codes is not None:
            self._blocks.append(codes)
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
        if self._blocks:
            texts = self._numbers.numbers().cast(pa.string())
            codes = pa.array(np.concatenate(self._blocks))
            self._parts.append(pa.DictionaryArray.from_arrays(codes, texts))
            self._blocks, self._numbers = [], WholeCodes()
