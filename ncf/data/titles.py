"""Titles of items, from the files that data sets bring and from a user's own CSV."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc

from ncf.columns import Columns
from ncf.data.blocks import read_blocks
from ncf.data.layouts import Layout
from ncf.data.readers import parse_block
from ncf.errors import RatingsError

_EXPECTED = f"{Columns.ITEM_ID},{Columns.TITLE}"
_LAYOUT = Layout(b",", (Columns.ITEM_ID, Columns.TITLE), header=True, expected=_EXPECTED)

Titles = dict[str, str]


def read_titles(path: Path) -> Titles:
    """Read a CSV with the header ``item_id,title``: title by raw item id.

    Raises
    ------
    RatingsError
        The header or a row is malformed, an id is blank or has two titles.
    """
    titles: Titles = {}
    first = True
    for whole in read_blocks(path):
        block = whole
        if first:
            if block.rows()[0][1].decode().replace('"', "") != _EXPECTED:
                raise block.error(0, "unexpected header", f"expected '{_EXPECTED}'")
            block, first = block.without_first_row(), False
            if not block.data.strip(b"\n"):
                continue
        table = parse_block(block, _LAYOUT)
        blank = pc.equal(pc.utf8_trim_whitespace(table[Columns.ITEM_ID]), "")
        row = pc.index(blank, value=True).as_py()
        if row >= 0:
            raise block.error(row, "item_id is blank")
        names = zip(*(table[name].to_pylist() for name in _LAYOUT.columns), strict=True)
        for row, (item, title) in enumerate(names):
            if titles.setdefault(item, title) != title:
                raise block.error(row, f"item {item!r} has two titles", "keep one of them")
    if first:
        raise RatingsError("the file is empty", where=path)
    return titles


def titles_csv(titles: Titles) -> bytes:
    """Write titles as the CSV that :func:`read_titles` reads."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_LAYOUT.columns)
    writer.writerows(titles.items())
    return text.getvalue().encode()


def grouplens_titles(content: bytes, delimiter: str) -> Titles:
    """Titles of GroupLens' item files (``u.item``: ``|``; ``movies.dat``: ``::``); Latin-1."""
    return {row[0]: row[1] for row in _rows(content, "latin-1", delimiter)}


def recbole_titles(content: bytes) -> Titles:
    """Titles of a RecBole ``.item`` file with a title and a year, as ``Toy Story (1995)``."""
    rows = _rows(content, "utf-8", "\t")
    next(rows)
    return {row[0]: f"{row[1]} ({row[2]})" if row[2] else row[1] for row in rows}


def _rows(content: bytes, encoding: str, delimiter: str) -> Iterator[list[str]]:
    lines = content.decode(encoding).replace("\r\n", "\n").split("\n")
    return (line.split(delimiter) for line in lines if line)
