"""Read titles of items from the files of data sets and from a user's own CSV."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from ncf.columns import Columns
from ncf.data.readers import read_columns
from ncf.data.values import refuse_blank

_COLUMNS = (Columns.ITEM_ID, Columns.TITLE)

Titles = dict[str, str]


def read_titles(path: Path) -> Titles:
    """Read a CSV with the header ``item_id,title`` into titles by raw item id.

    Raises
    ------
    RatingsError
        The header or a row is malformed, an id is blank or has two titles.
    """
    titles: Titles = {}
    for block, table in read_columns(path, _COLUMNS):
        refuse_blank(table, block, Columns.ITEM_ID)
        names = zip(*(table[name].to_pylist() for name in _COLUMNS), strict=True)
        for row, (item, title) in enumerate(names):
            if titles.setdefault(item, title) != title:
                raise block.error(row, f"item {item!r} has two titles", "keep one of them")
    return titles


def titles_csv(titles: Titles) -> bytes:
    """Write titles as the CSV that :func:`read_titles` reads."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(titles.items())
    return text.getvalue().encode()


def grouplens_titles(content: bytes, delimiter: str) -> Titles:
    """Read titles of GroupLens' item files (``u.item``: ``|``; ``movies.dat``: ``::``); Latin-1."""
    return {row[0]: row[1] for row in _rows(content, "latin-1", delimiter)}


def recbole_titles(content: bytes) -> Titles:
    """Read titles of a RecBole ``.item`` file; title and year become ``Toy Story (1995)``."""
    rows = _rows(content, "utf-8", "\t")
    next(rows)
    return {row[0]: f"{row[1]} ({row[2]})" if row[2] else row[1] for row in rows}


def _rows(content: bytes, encoding: str, delimiter: str) -> Iterator[list[str]]:
    lines = content.decode(encoding).replace("\r\n", "\n").split("\n")
    return (line.split(delimiter) for line in lines if line)
