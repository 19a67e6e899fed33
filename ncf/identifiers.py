"""Raw ids at the edges, dense indices inside; one object owns the map between them.

Maps are kept twice: as NumPy arrays for programs (no other library needed), and as Parquet for
people and databases; see :mod:`ncf.data.tables`.
"""

import itertools
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

_BYTES, _ENDS = "bytes", "ends"


class IdMap:
    """Raw ids (strings) by index (dense int from 0).

    Parameters
    ----------
    raw : sequence of str
        Distinct raw ids; the position is the index.
    titles : sequence of str or None, optional
        A name for people by index; blank is none.
    """

    def __init__(self, raw: Sequence[str], titles: Sequence[str | None] = ()) -> None:
        self.raw = list(raw)
        named = [title or None for title in titles]
        self.titles = named if any(named) else []

    def __len__(self) -> int:
        """Count of ids."""
        return len(self.raw)

    def index(self, raw: str) -> int | None:
        """Index of a raw id; None where it is unknown."""
        return self._indices.get(raw)

    def indices(self, raw: Sequence[str]) -> npt.NDArray[np.int64]:
        """Index of each raw id, int64 of shape ``(len(raw),)``; -1 where it is unknown."""
        return np.fromiter((self._indices.get(each, -1) for each in raw), np.int64, len(raw))

    def title(self, index: int) -> str | None:
        """Title of an index; None where it has none."""
        return self.titles[index] if self.titles else None

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {raw: index for index, raw in enumerate(self.raw)}


def write_id_maps(path: Path, maps: dict[str, IdMap]) -> None:
    """Write id maps as one ``.npz``: UTF-8 bytes and where each text ends, by name."""
    arrays: dict[str, npt.NDArray[np.uint8] | npt.NDArray[np.int64]] = {}
    for name, ids in maps.items():
        arrays |= _packed(f"{name}_", ids.raw)
        if ids.titles:
            arrays |= _packed(f"{name}_title_", [title or "" for title in ids.titles])
    # Not compressed: the bytes of zlib differ between its versions.
    np.savez(path, **arrays)  # type: ignore[arg-type]  # no array is called allow_pickle


def read_id_maps(path: Path, names: Sequence[str]) -> list[IdMap]:
    """Read what :func:`write_id_maps` wrote."""
    with np.load(path, allow_pickle=False) as file:

        def texts(prefix: str) -> list[str]:
            if f"{prefix}{_ENDS}" not in file:
                return []
            return _unpacked(file[f"{prefix}{_BYTES}"], file[f"{prefix}{_ENDS}"])

        return [IdMap(texts(f"{name}_"), texts(f"{name}_title_")) for name in names]


def _packed(
    prefix: str, texts: Sequence[str]
) -> dict[str, npt.NDArray[np.uint8] | npt.NDArray[np.int64]]:
    encoded = [text.encode() for text in texts]
    return {
        f"{prefix}{_BYTES}": np.frombuffer(b"".join(encoded), np.uint8),
        f"{prefix}{_ENDS}": np.cumsum([len(each) for each in encoded], dtype=np.int64),
    }


def _unpacked(content: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> list[str]:
    whole, limits = content.tobytes(), [0, *ends.tolist()]
    return [whole[start:end].decode() for start, end in itertools.pairwise(limits)]
