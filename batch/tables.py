"""Write the parts of a table as Parquet or CSV, and read them."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from batch.options import Layout, TableFormat
from ncf.columns import Columns
from ncf.errors import UsageError
from ncf.policies import Policy

_TEXT = pa.string()
SCHEMAS = {
    Layout.LONG: pa.schema(
        [
            pa.field(Columns.USER_ID, _TEXT, nullable=False),
            pa.field(Columns.RANK, pa.int16(), nullable=False),
            pa.field(Columns.ITEM_ID, _TEXT, nullable=False),
            pa.field(Columns.SCORE, pa.float32()),  # null where the policy is "popular"
            pa.field(Columns.POLICY, _TEXT, nullable=False),
        ]
    ),
    Layout.LIST: pa.schema(
        [
            pa.field(Columns.USER_ID, _TEXT, nullable=False),
            pa.field(Columns.ITEM_IDS, pa.list_(_TEXT), nullable=False),
            pa.field(Columns.SCORES, pa.list_(pa.float32()), nullable=False),
            pa.field(Columns.POLICY, _TEXT, nullable=False),
        ]
    ),
}


@dataclass(frozen=True)
class Style:
    """File format and layout of parts.

    Parameters
    ----------
    file_format : TableFormat
        Parquet or CSV.
    layout : Layout
        A row for each item, or a row with lists for each user.

    Raises
    ------
    UsageError
        CSV cannot hold lists.
    """

    file_format: TableFormat = TableFormat.PARQUET
    layout: Layout = Layout.LONG

    def __post_init__(self) -> None:
        """Check that format and layout fit together."""
        if self.file_format is TableFormat.CSV and self.layout is Layout.LIST:
            raise UsageError(
                "CSV has no lists", remedy='use `layout="long"`, or `format="parquet"`'
            )

    def part(self, number: int) -> str:
        """Name the file of a part."""
        return f"part-{number:05d}.{self.file_format.value}"

    @property
    def parts(self) -> str:
        """Pattern of the names of all parts."""
        return f"part-*.{self.file_format.value}"


@dataclass(frozen=True)
class Lists:
    """The top-K lists of some users, one after another.

    Parameters
    ----------
    users : list of str
        The n raw ids.
    counts : int64 array of shape (n,)
        Number of items of each user.
    items : int64 array
        Item indices, user by user, best first.
    scores : float32 array
        Logits; NaN where there is none.
    policies : int array of shape (n,)
        Position of each user's policy in :class:`Policy`.
    """

    users: list[str]
    counts: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    policies: npt.NDArray[np.int64]


def write_lists(lists: Lists, item_ids: pa.Array, style: Style, file: BinaryIO) -> None:
    """Write a part, with raw ids by index in ``item_ids``; equal lists give equal bytes."""
    make = _long if style.layout is Layout.LONG else _listed
    table = make(lists, item_ids)
    if style.file_format is TableFormat.CSV:
        csv.write_csv(table.cast(SCHEMAS[style.layout]), file)
    else:
        pq.write_table(
            table, file, compression="zstd", store_schema=False, write_page_checksum=True
        )


def read_part(source: Path | BinaryIO, style: Style) -> pd.DataFrame:
    """Read a part as rows of the long table.

    Raises
    ------
    ValueError
        The columns are not those of the style.
    """
    return long_frame(read_table(source, style), style)


def read_table(source: Path | BinaryIO, style: Style) -> pa.Table:
    """Read a part in the layout it was written in.

    Raises
    ------
    ValueError
        The columns are not those of the style.
    """
    schema = SCHEMAS[style.layout]
    if style.file_format is TableFormat.CSV:
        table = csv.read_csv(
            source,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict(zip(schema.names, schema.types, strict=True)),
                strings_can_be_null=False,
            ),
        )
        if table.schema.names != schema.names:
            raise ValueError(f"columns are {', '.join(table.schema.names)}")
        return table
    table = pq.read_table(source, page_checksum_verification=True)
    if not table.schema.equals(schema):
        raise ValueError("columns are not those of the contract")
    return table


def long_frame(table: pa.Table, style: Style) -> pd.DataFrame:
    """Turn a part of any style into rows of the long table."""
    frame: pd.DataFrame = (table if style.layout is Layout.LONG else _unlisted(table)).to_pandas()
    return frame


def _long(lists: Lists, item_ids: pa.Array) -> pa.Table:
    rows = np.repeat(np.arange(len(lists.users), dtype=np.int32), lists.counts)
    starts = np.cumsum(lists.counts) - lists.counts
    columns = [
        pa.DictionaryArray.from_arrays(rows, pa.array(lists.users, _TEXT)),
        pa.array((np.arange(rows.size) - starts[rows] + 1).astype(np.int16)),
        _item_ids(lists, item_ids),
        _scores(lists),
        _policies(lists).take(pa.array(rows)),
    ]
    names = SCHEMAS[Layout.LONG].names
    return pa.table(columns, schema=_as_dictionaries(dict(zip(names, columns, strict=True))))


def _listed(lists: Lists, item_ids: pa.Array) -> pa.Table:
    offsets = pa.array(np.append(0, np.cumsum(lists.counts)).astype(np.int32))
    columns = [
        pa.array(lists.users, _TEXT),
        pa.ListArray.from_arrays(offsets, _item_ids(lists, item_ids).cast(_TEXT)),
        pa.ListArray.from_arrays(offsets, _scores(lists)),
        _policies(lists).cast(_TEXT),
    ]
    return pa.table(columns, schema=SCHEMAS[Layout.LIST])


def _unlisted(table: pa.Table) -> pa.Table:
    counts = table[Columns.ITEM_IDS].combine_chunks().value_lengths().to_numpy()
    rows = np.repeat(np.arange(table.num_rows), counts)
    starts = np.cumsum(counts) - counts
    return pa.table(
        [
            table[Columns.USER_ID].take(pa.array(rows)),
            pa.array((np.arange(rows.size) - starts[rows] + 1).astype(np.int16)),
            table[Columns.ITEM_IDS].combine_chunks().flatten(),
            table[Columns.SCORES].combine_chunks().flatten(),
            table[Columns.POLICY].take(pa.array(rows)),
        ],
        schema=SCHEMAS[Layout.LONG],
    )


def _item_ids(lists: Lists, item_ids: pa.Array) -> pa.DictionaryArray:
    # The dictionary holds only the items of this part.
    items, codes = np.unique(lists.items, return_inverse=True)
    return pa.DictionaryArray.from_arrays(codes.astype(np.int32), item_ids.take(pa.array(items)))


def _scores(lists: Lists) -> pa.Array:
    return pa.array(lists.scores, pa.float32(), mask=np.isnan(lists.scores))


def _policies(lists: Lists) -> pa.DictionaryArray:
    names = pa.array([policy.value for policy in Policy], _TEXT)
    return pa.DictionaryArray.from_arrays(lists.policies.astype(np.int32), names)


def _as_dictionaries(columns: dict[str, pa.Array]) -> pa.Schema:
    """Make the schema of the long table, with the types of its columns in memory."""
    schema = SCHEMAS[Layout.LONG]
    return pa.schema([schema.field(name).with_type(each.type) for name, each in columns.items()])
