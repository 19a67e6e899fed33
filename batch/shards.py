"""Shards: contiguous ranges of users, each scored on its own and written as one part."""

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ncf.columns import Columns
from ncf.policies import Policy
from ncf.scoring.bundle import Bundle
from ncf.scoring.ranking import GraphRanker

PARTS = "part-*.parquet"


def _schema(text: pa.DataType) -> pa.Schema:
    return pa.schema(
        [
            pa.field(Columns.USER_ID, text, nullable=False),
            pa.field(Columns.RANK, pa.int16(), nullable=False),
            pa.field(Columns.ITEM_ID, text, nullable=False),
            pa.field(Columns.SCORE, pa.float32(), nullable=False),
            pa.field(Columns.POLICY, text, nullable=False),
        ]
    )


SCHEMA = _schema(pa.string())  # as readers of a part see it
_IN_MEMORY = _schema(pa.dictionary(pa.int32(), pa.string()))


@dataclass(frozen=True)
class Shard:
    """A contiguous range of users.

    Parameters
    ----------
    number : int
        From 0.
    start, stop : int
        User indices in ``[start, stop)``.
    """

    number: int
    start: int
    stop: int

    @property
    def part(self) -> str:
        """Name of the file that holds its rows."""
        return f"part-{self.number:05d}.parquet"


def plan(n_users: int, size: int) -> Iterator[Shard]:
    """Cut users into shards of ``size``; the last may be smaller."""
    for number, start in enumerate(range(0, n_users, size)):
        yield Shard(number, start, min(start + size, n_users))


@dataclass(frozen=True)
class Scoring:
    """What scores shards.

    Parameters
    ----------
    bundle : Bundle
        Raw ids.
    ranker : GraphRanker
        Ranks user indices.
    k : int
        Rows a user at most, at least 1.
    pool : Executor or None
        Threads for the blocks of a shard.
    """

    bundle: Bundle
    ranker: GraphRanker
    k: int
    pool: Executor | None = None


def write_table(table: pa.Table, file: BinaryIO) -> None:
    """Write a part: string columns as dictionaries, zstd, the same bytes for the same rows."""
    pq.write_table(table, file, compression="zstd", store_schema=False)


def score(scoring: Scoring, shard: Shard) -> pa.Table:
    """Top-K rows of one shard, users in order of index, ranks ascending."""
    bundle = scoring.bundle
    users = np.arange(shard.start, shard.stop, dtype=np.int64)
    top = scoring.ranker.rank(users, scoring.k, scoring.pool)
    valid = top.valid()
    rows, columns = np.nonzero(valid)
    raw_users = pa.array(bundle.users.raw[shard.start : shard.stop], pa.string())
    # Only the items of this shard go into the part's dictionary.
    items, codes = np.unique(top.items[valid], return_inverse=True)
    raw_items = pa.array([bundle.items.raw[item] for item in items.tolist()], pa.string())
    policy = np.zeros(rows.size, np.int32)
    return pa.table(
        [
            pa.DictionaryArray.from_arrays(rows.astype(np.int32), raw_users),
            pa.array((columns + 1).astype(np.int16)),
            pa.DictionaryArray.from_arrays(codes.astype(np.int32), raw_items),
            pa.array(top.scores[valid]),
            pa.DictionaryArray.from_arrays(policy, pa.array([Policy.MODEL.value])),
        ],
        schema=_IN_MEMORY,
    )
