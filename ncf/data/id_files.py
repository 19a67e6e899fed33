"""Files of raw ids, CSV or Parquet: users to score, items to leave out, tonight's interactions."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncf.data.delimited import read_columns, text_ids
from ncf.data.kinds import Kind, kind_at
from ncf.data.naming import ReadAs, Wanted
from ncf.data.parquet import read_parts
from ncf.data.readers import read_ratings
from ncf.identifiers import IdMap

_AT_ONCE = 1 << 16


def read_ids(path: Path, column: str, read_as: ReadAs | None = None) -> pa.StringArray:
    """Read the distinct ids of one column, in order of first appearance.

    Parameters
    ----------
    path : Path
        Text with a header, Parquet or a folder of Parquet parts, with the column among others.
    column : str
        ``user_id`` or ``item_id``; usual names of it are known.
    read_as : ReadAs, optional
        Columns that the caller named, and whether spaces around ids in text are part of them.

    Raises
    ------
    RatingsError
        The file cannot be read; the message names line or column.
    """
    parts, read_as = [], read_as or ReadAs()
    if kind_at(path) is Kind.PARQUET:
        wanted = Wanted(column, [column], [])
        parts = [part.ids(column) for part in read_parts(path, read_as.naming, wanted)]
    else:
        keep_spaces = read_as.keep_spaces
        for block, table in read_columns(path, (column,), read_as.naming):
            parts.append(text_ids(table[column], column, block, keep_spaces=keep_spaces)[0])
    return pc.unique(pa.chunked_array([part.dictionary for part in parts], pa.string()))


def read_pairs(
    path: Path, read_as: ReadAs | None = None
) -> tuple[pa.DictionaryArray, pa.DictionaryArray]:
    """Read interactions: users and items, as codes into distinct strings.

    Parameters
    ----------
    path : Path
        Whatever ``ncf data prepare`` takes. No row at all is fine.
    read_as : ReadAs, optional
        As for :func:`read_ids`.

    Raises
    ------
    RatingsError
        The file cannot be read; the message names line or column.
    """
    ratings = read_ratings(path, may_be_empty=True, read_as=read_as)
    return ratings.users, ratings.items


def find(ids: IdMap, raw: pa.StringArray) -> npt.NDArray[np.int64]:
    """Index of each raw id, int64 of shape ``(len(raw),)``; -1 where it is unknown.

    Goes piece by piece: millions of Python strings would take hundreds of bytes each.
    """
    found = np.empty(len(raw), np.int64)
    for start in range(0, len(raw), _AT_ONCE):
        part = raw[start : start + _AT_ONCE]
        found[start : start + len(part)] = ids.indices(part.to_pylist())
    return found
