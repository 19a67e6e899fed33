"""Map raw ids, which callers use, to the dense indices that the toolkit uses inside.

Ids are packed in arrays, about ten bytes each, so that ten million users fit into any process.
Maps are stored twice: as NumPy arrays for programs, which need no other library, and as Parquet
for people and databases; see :mod:`ncf.data.tables`.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ncf.arrays import map_npz

_BYTES, _ENDS = "bytes", "ends"
_AT_ONCE = 1 << 16  # texts decoded in one go


class Texts(Sequence[str]):
    """A list of strings packed into two arrays.

    Parameters
    ----------
    content : uint8 array
        UTF-8 bytes of all texts, one after another.
    ends : int64 array of shape (n,)
        Position in ``content`` where each text ends.
    """

    def __init__(self, content: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> None:
        self.content = content
        self.ends = ends

    @classmethod
    def pack(cls, texts: Sequence[str]) -> "Texts":
        """Pack strings into arrays."""
        if isinstance(texts, cls):
            return texts
        encoded = [text.encode() for text in texts]
        ends = np.cumsum([len(each) for each in encoded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    def __len__(self) -> int:
        """Count of texts."""
        return self.ends.size

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return (
                [self[each] for each in range(start, stop, step)]
                if step != 1
                else [each.decode() for each in self.encoded(start, stop)]
            )
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.at(index % len(self)).decode()

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self[start : start + _AT_ONCE]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Texts)
            and np.array_equal(self.ends, other.ends)
            and np.array_equal(self.content, other.content)
        )

    __hash__ = None  # type: ignore[assignment]  # as lists have it

    def at(self, index: int) -> bytes:
        """Get the UTF-8 bytes of one text."""
        start = int(self.ends[index - 1]) if index else 0
        return self.content[start : int(self.ends[index])].tobytes()

    def is_sound(self) -> bool:
        """Check arrays read from a file: the ends ascend over all bytes, and each text is UTF-8."""
        content, ends = self.content, self.ends
        flat = content.ndim == ends.ndim == 1
        if not flat or content.dtype != np.uint8 or ends.dtype != np.int64:
            return False
        if (ends[-1] if ends.size else 0) != content.size or (np.diff(ends, prepend=0) < 0).any():
            return False
        try:
            for start in range(0, len(self), _AT_ONCE):
                # Decoding all at once is fast, and enough if no text starts within a character.
                b"".join(self.encoded(start, start + _AT_ONCE)).decode()
        except UnicodeDecodeError:
            return False
        starts = ends[:-1][ends[:-1] < content.size]
        return not (content[starts] & 0b11000000 == 0b10000000).any()

    def encoded(self, start: int, stop: int) -> list[bytes]:
        """Get the UTF-8 bytes of the texts from ``start`` to ``stop``, or to the last."""
        stop = min(stop, len(self))
        if start >= stop:
            return []
        first = int(self.ends[start - 1]) if start else 0
        ends = (self.ends[start:stop] - first).tolist()
        whole = self.content[first : first + ends[-1]].tobytes()
        return [whole[a:b] for a, b in zip([0, *ends], ends, strict=False)]


class IdMap:
    """A map between raw ids (strings) and indices (dense integers from 0).

    Parameters
    ----------
    raw : sequence of str
        Distinct raw ids; an id's position is its index.
    titles : sequence of str or None, optional
        Title by index; a blank one counts as none.

    Examples
    --------
    >>> ids = IdMap(["50", "181"], ["Star Wars (1977)", None])
    >>> ids.index("181"), ids.raw[0], ids.title(0)
    (1, '50', 'Star Wars (1977)')
    >>> ids.indices(["181", "no such id"]).tolist()
    [1, -1]
    """

    def __init__(self, raw: Sequence[str], titles: Sequence[str | None] = ()) -> None:
        self.raw = Texts.pack(raw)
        if not isinstance(titles, Texts):
            titles = Texts.pack([title or "" for title in titles] if any(titles) else [])
        self.titles = titles

    def __len__(self) -> int:
        """Count of ids."""
        return len(self.raw)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdMap) and (self.raw, self.titles) == (other.raw, other.titles)

    __hash__ = None  # type: ignore[assignment]  # it may be large

    def is_sound(self) -> bool:
        """Check ids and titles of a file: see :meth:`Texts.is_sound`; ids must be distinct."""
        fits = len(self.titles) in {0, len(self)}
        return fits and self.raw.is_sound() and self.titles.is_sound() and self._is_distinct()

    def index(self, raw: str) -> int | None:
        """Find the index of a raw id; None if it is unknown."""
        wanted = raw.encode(errors="surrogatepass")
        # Of the type of the checksums: for another, NumPy converts all of them at each look-up.
        checksum = np.uint32(zlib.crc32(wanted))
        order, known = self._lookup
        place = int(known.searchsorted(checksum))
        while place < known.size and known[place] == checksum:
            if self.raw.at(int(order[place])) == wanted:
                return int(order[place])
            place += 1
        return None

    def indices(self, raw: Sequence[str]) -> npt.NDArray[np.int64]:
        """Find the index of each raw id, int64 of shape ``(len(raw),)``; -1 where it is unknown."""
        # Half a surrogate pair has no UTF-8, so no id read from a file can equal its encoding.
        wanted = [each.encode(errors="surrogatepass") for each in raw]
        checksums = np.fromiter(map(zlib.crc32, wanted), np.uint32, len(wanted))
        order, known = self._lookup
        starts = np.searchsorted(known, checksums)
        stops = np.searchsorted(known, checksums, side="right")
        found = np.full(len(wanted), -1, np.int64)
        for position in np.flatnonzero(stops > starts).tolist():
            for index in order[starts[position] : stops[position]].tolist():
                if self.raw.at(index) == wanted[position]:
                    found[position] = index
                    break
        return found

    def _is_distinct(self) -> bool:
        """Whether ids are distinct; only ids with equal checksums are compared."""
        order, checksums = self._lookup
        alike = np.flatnonzero(checksums[1:] == checksums[:-1])
        suspects = order[np.union1d(alike, alike + 1)].tolist()
        return len({self.raw.at(index) for index in suspects}) == len(suspects)

    def title(self, index: int) -> str | None:
        """Get the title at an index; None if it has none."""
        return (self.titles[index] or None) if self.titles else None

    @cached_property
    def _lookup(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        """Indices in order of the CRC-32 of their ids, and the checksums: 12 bytes for each id."""
        checksums = np.empty(len(self), np.uint32)
        for start in range(0, len(self), _AT_ONCE):
            encoded = self.raw.encoded(start, start + _AT_ONCE)
            checksums[start : start + len(encoded)] = list(map(zlib.crc32, encoded))
        order = np.argsort(checksums, kind="stable")
        return order, checksums[order]


def write_id_maps(path: Path, maps: Mapping[str, IdMap]) -> None:
    """Write id maps as one ``.npz`` file: UTF-8 bytes and the ends of texts, by name."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, ids in maps.items():
        arrays |= _named(f"{name}_", ids.raw)
        if ids.titles:
            arrays |= _named(f"{name}_title_", ids.titles)
    # Not compressed: it can be memory-mapped, and zlib's versions give different bytes.
    np.savez(path, **arrays)  # type: ignore[arg-type]  # no array is called allow_pickle


def read_id_maps(path: Path, names: Sequence[str]) -> list[IdMap]:
    """Memory-map the file that :func:`write_id_maps` wrote."""
    arrays = map_npz(path)

    def texts(prefix: str) -> Texts:
        if f"{prefix}{_ENDS}" not in arrays:
            return Texts.pack([])
        return Texts(arrays[f"{prefix}{_BYTES}"], arrays[f"{prefix}{_ENDS}"])

    return [IdMap(texts(f"{name}_"), texts(f"{name}_title_")) for name in names]


def _named(prefix: str, texts: Texts) -> dict[str, npt.NDArray[Any]]:
    return {f"{prefix}{_BYTES}": texts.content, f"{prefix}{_ENDS}": texts.ends}
