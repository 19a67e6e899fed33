"""Write and read id maps as Parquet, which people and databases can open."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ncf.columns import Columns
from ncf.identifiers import IdMap


def write_id_table(path: Path, ids: IdMap, column: str) -> None:
    """Write an id map: the raw id by index, and the title where there are titles."""
    columns = {column: pa.array(ids.raw, pa.string())}
    if ids.titles:
        titles = [title or None for title in ids.titles]
        columns[Columns.TITLE] = pa.array(titles, pa.string())
    pq.write_table(pa.table(columns), path, compression="zstd")


def read_id_table(path: Path, column: str) -> IdMap:
    """Read what :func:`write_id_table` wrote.

    Raises
    ------
    ValueError
        An id appears in two rows.
    """
    table = pq.read_table(path)
    if len(table[column].unique()) != table.num_rows:
        raise ValueError(f"{path.name} holds an id twice")
    has_titles = Columns.TITLE in table.column_names
    titles = table[Columns.TITLE].to_pylist() if has_titles else ()
    return IdMap(table[column].to_pylist(), titles)
