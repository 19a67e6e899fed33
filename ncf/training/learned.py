"""The pairs that a checkpoint's weights were trained on, for a warm start from it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ncf.columns import Columns
from ncf.data.interactions import Interactions
from ncf.data.prepared import PreparedData
from ncf.pairs import among

LEARNED_FILE = "learned.parquet"
_HONEST = "honest"

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Learned:
    """The pairs that a checkpoint's weights were trained on, from the first training on.

    Parameters
    ----------
    pairs : Interactions
        Distinct pairs, ascending by user and item.
    honest : bool array of shape (pairs,)
        Whether the honest weights were trained on it; product weights were trained on all.
    """

    pairs: Interactions
    honest: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, data: PreparedData) -> "Learned":
        """Collect what a training on prepared data, without a warm start, learns."""
        every = data.interactions()
        return cls(every, among(every.keys(), np.sort(data.train.keys())))._sorted()

    def renumbered(self, users: Indices, items: Indices, n_users: int, n_items: int) -> "Learned":
        """Take the numbers that users and items have in other data; pairs of others are dropped.

        Parameters
        ----------
        users, items : int64 arrays
            Other index of each user and item; -1 where there is none.
        n_users, n_items : int
            Sizes of the other id maps.
        """
        moved = users[self.pairs.users], items[self.pairs.items]
        kept = np.flatnonzero((moved[0] >= 0) & (moved[1] >= 0))
        rows, columns = (each[kept].astype(np.int32) for each in moved)
        pairs = Interactions(rows, columns, n_users, n_items)
        return Learned(pairs, self.honest[kept])._sorted()

    def and_also(self, more: "Learned") -> "Learned":
        """Add the pairs of a further training; a pair is honest if it is so in either."""
        pairs = self.pairs.join(more.pairs)
        honest = np.concatenate([self.honest, more.honest])
        # Of equal pairs the honest one comes first, and is kept.
        order = np.lexsort([~honest, pairs.keys()])
        keys = pairs.keys()[order]
        kept = order[np.diff(keys, prepend=-1) > 0]
        return Learned(pairs.take(kept), honest[kept])

    def part(self, *, everything: bool) -> Interactions:
        """Give the pairs of the product weights, which know everything, or of the honest ones."""
        return self.pairs if everything else self.pairs.take(self.honest)

    def count(self, pairs: Interactions) -> int:
        """Count how many of some pairs the honest weights were trained on."""
        known = self.part(everything=False).keys()  # ascending
        return int(np.count_nonzero(among(pairs.keys(), known)))

    def write(self, folder: Path) -> None:
        """Write the pairs into a checkpoint's folder, as ``learned.parquet``."""
        columns = {Columns.USER: self.pairs.users, Columns.ITEM: self.pairs.items}
        table = pa.table({**columns, _HONEST: self.honest})
        pq.write_table(table, folder / LEARNED_FILE, compression="zstd")

    def _sorted(self) -> "Learned":
        order = np.argsort(self.pairs.keys(), kind="stable")
        return Learned(self.pairs.take(order), self.honest[order])


def read_learned(folder: Path, n_users: int, n_items: int) -> Learned | None:
    """Read ``learned.parquet`` of a checkpoint; None where one of before has none.

    Raises
    ------
    ValueError
        An index is out of range.
    """
    path = folder / LEARNED_FILE
    if not path.exists():
        return None
    table = pq.read_table(path)
    users, items = (table[name].to_numpy() for name in (Columns.USER, Columns.ITEM))
    honest = table[_HONEST].to_numpy()
    return Learned(Interactions(users, items, n_users, n_items), honest)
