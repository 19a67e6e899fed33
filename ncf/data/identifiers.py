"""Raw ids at the edges, dense indices inside; one object owns the map between them."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ncf.columns import Columns


class IdMap:
    """Raw ids (strings) by index (dense int from 0).

    Parameters
    ----------
    raw : sequence of str
        Distinct raw ids; the position is the index.
    titles : sequence of str or None, optional
        A name for people by index; empty where there are none.
    """

    def __init__(self, raw: Sequence[str], titles: Sequence[str | None] = ()) -> None:
        self.raw = list(raw)
        self.titles = list(titles)

    def __len__(self) -> int:
        """Count of ids."""
        return len(self.raw)

    def index(self, raw: str) -> int | None:
        """Index of a raw id; None where it is unknown."""
        return self._indices.get(raw)

    def indices(self, raw: Sequence[str]) -> npt.NDArray[np.int32]:
        """Index of each raw id, int32 of shape ``(len(raw),)``; -1 where it is unknown."""
        return np.fromiter((self._indices.get(each, -1) for each in raw), np.int32, len(raw))

    def title(self, index: int) -> str | None:
        """Title of an index; None where it has none."""
        return self.titles[index] if self.titles else None

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {raw: index for index, raw in enumerate(self.raw)}

    def write(self, path: Path, column: str) -> None:
        """Write the map as Parquet: the raw id by index, and the title where there are titles."""
        columns = {column: pa.array(self.raw, pa.string())}
        if self.titles:
            columns[Columns.TITLE] = pa.array(self.titles, pa.string())
        pq.write_table(pa.table(columns), path, compression="zstd")

    @classmethod
    def read(cls, path: Path, column: str) -> "IdMap":
        """Read what :meth:`write` wrote."""
        table = pq.read_table(path)
        has_titles = Columns.TITLE in table.column_names
        titles = table[Columns.TITLE].to_pylist() if has_titles else ()
        return cls(table[column].to_pylist(), titles)
