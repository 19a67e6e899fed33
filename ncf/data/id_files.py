"""Read files of raw ids, CSV or Parquet: users to score, excluded items, new interactions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ncf.columns import Columns, columns_named
from ncf.data.options import Format
from ncf.data.readers import read_columns, read_ratings
from ncf.data.values import NAME_IT, refuse_blank
from ncf.errors import RatingsError
from ncf.identifiers import IdMap

_PARQUET = b"PAR1"
_AT_ONCE = 1 << 16


def read_ids(path: Path, column: str) -> pa.StringArray:
    """Read the distinct ids of one column, in order of first appearance.

    Parameters
    ----------
    path : Path
        CSV with ``column`` as its header, or Parquet that has it among its columns.
    column : str
        ``user_id`` or ``item_id``.

    Raises
    ------
    RatingsError
        The file cannot be read; the message names line or column.
    """
    if _is_parquet(path):
        (ids,) = _parquet_columns(path, [column])
    else:
        parts = []
        for block, table in read_columns(path, (column,)):
            refuse_blank(table, block, column)
            parts.append(table[column].combine_chunks())
        ids = pa.chunked_array(parts, pa.string())
    return pc.unique(ids)


def read_pairs(path: Path) -> tuple[pa.DictionaryArray, pa.DictionaryArray]:
    """Read interactions: users and items, as codes into distinct strings.

    Parameters
    ----------
    path : Path
        CSV as ``ncf data prepare`` takes it, or Parquet with ``user_id`` and ``item_id``. It may
        have no rows.

    Raises
    ------
    RatingsError
        The file cannot be read; the message names line or column.
    """
    if _is_parquet(path):
        users, items = _parquet_columns(path, [Columns.USER_ID, Columns.ITEM_ID])
        return _encoded(users), _encoded(items)
    ratings = read_ratings(path, Format.CSV, may_be_empty=True)
    return ratings.users, ratings.items


def find(ids: IdMap, raw: pa.StringArray) -> npt.NDArray[np.int64]:
    """Find the index of each raw id, int64 of shape ``(len(raw),)``; -1 where it is unknown.

    Works in pieces: as Python strings, millions of ids would take hundreds of bytes each.
    """
    found = np.empty(len(raw), np.int64)
    for start in range(0, len(raw), _AT_ONCE):
        part = raw[start : start + _AT_ONCE]
        found[start : start + len(part)] = ids.indices(part.to_pylist())
    return found


def _encoded(ids: pa.ChunkedArray) -> pa.DictionaryArray:
    return ids.combine_chunks().dictionary_encode()


def _is_parquet(path: Path) -> bool:
    if not path.is_file():
        raise RatingsError("no such file", where=path, remedy="check the path")
    with path.open("rb") as file:
        return file.read(len(_PARQUET)) == _PARQUET


def _parquet_columns(path: Path, names: Sequence[str]) -> list[pa.ChunkedArray]:
    try:
        with pq.ParquetFile(path) as file:
            found = {name: columns_named(name, file.schema_arrow.names) for name in names}
            wrong = [name for name in names if len(found[name]) != 1]
            table = None if wrong else file.read([found[name][0] for name in names])
            if table is not None:
                table.validate(full=True)  # the reader itself accepts text that is not UTF-8
    except Exception as error:  # for a damaged schema, Arrow raises errors of other classes
        raise RatingsError(f"not readable as Parquet ({error})", where=path) from error
    if table is None:
        several = " and ".join(map(repr, found[wrong[0]]))
        problem = f"{several} all match {wrong[0]}" if several else f"no column {wrong[0]!r}"
        raise RatingsError(problem, where=path, remedy="rename the column")
    return [_texts(table[found[name][0]], name, path) for name in names]


def _texts(column: pa.ChunkedArray, name: str, path: Path) -> pa.ChunkedArray:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not len(column):  # an empty column may have any type
        return pa.chunked_array([], pa.string())
    if not (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)
    ):
        raise RatingsError(
            f"column {name!r} is {kind}", where=path, remedy="give ids as strings or whole numbers"
        )
    texts = column.cast(kind).cast(pa.string())
    bad = pc.or_(texts.is_null(), pc.equal(pc.utf8_trim_whitespace(texts.fill_null("")), ""))
    row = pc.index(bad, value=True).as_py()
    if row >= 0:
        raise RatingsError(f"{name} is blank", where=f"{path}, row {row + 1}", remedy=NAME_IT)
    return texts
