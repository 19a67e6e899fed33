"""Titles of items, from the files that data sets bring and from a user's own table."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from ncf.columns import Columns
from ncf.data.blocks import Block, read_blocks
from ncf.data.kinds import Kind, kind_at
from ncf.data.layouts import Layout, layout_of_header, mark_of_header
from ncf.data.naming import Naming, Wanted
from ncf.data.parquet import read_parts
from ncf.data.typed_columns import texts_of
from ncf.data.values import NAME_IT
from ncf.errors import RatingsError

_COLUMNS = (Columns.ITEM_ID, Columns.TITLE)
_EXPECTED = ",".join(_COLUMNS)
_WANTED = Wanted(_EXPECTED, _COLUMNS, ())
_NAMING = Naming(remedy="rename the column")
_NOT_CLOSED = "write a quote inside quotes twice"

Titles = dict[str, str]


def read_titles(path: Path, *, keep_spaces: bool = False) -> Titles:
    """Read titles by raw item id: text with a header, or Parquet, with the columns among others.

    Titles in quotes may go over several lines (RFC 4180).

    Parameters
    ----------
    path : Path
        The file; usual names of its columns are known.
    keep_spaces : bool
        Whether spaces around ids in text are part of them.

    Raises
    ------
    RatingsError
        The header or a row is malformed, an id is blank or has two titles.
    """
    if kind_at(path) is Kind.PARQUET:
        rows = _rows_of_parquet(path)
    else:
        rows = _rows_of_text(path, keep_spaces=keep_spaces)
    titles: Titles = {}
    for place, item, title in rows:
        if not item.strip():
            raise RatingsError(f"{Columns.ITEM_ID} is blank", where=place, remedy=NAME_IT)
        if titles.setdefault(item, title) != title:
            problem = f"item {item!r} has two titles"
            raise RatingsError(problem, where=place, remedy="keep one of them")
    return titles


def _rows_of_parquet(path: Path) -> Iterator[tuple[str, str, str]]:
    for part in read_parts(path, _NAMING, _WANTED):
        items = part.ids(Columns.ITEM_ID).to_pylist()
        titles = texts_of(part.columns[Columns.TITLE]).to_pylist()
        for number, (item, title) in enumerate(zip(items, titles, strict=True), part.first):
            if title:
                yield part.at(number), item, title


def _rows_of_text(path: Path, *, keep_spaces: bool) -> Iterator[tuple[str, str, str]]:
    layout: Layout | None = None
    lines = _lines(read_blocks(path))
    first = next(lines, None)
    if first is None:
        raise RatingsError("the file is empty", where=path, remedy=f"expected '{_EXPECTED}'")
    block = Block(path, first[1].encode(), first[0])
    layout = layout_of_header(block, mark_of_header(block, _COLUMNS), _NAMING, _WANTED)
    item, title = (layout.columns.index(name) for name in _COLUMNS)
    for number, fields in _records(lines, layout, path):
        if len(fields) != len(layout.columns):
            problem = f"{len(fields)} fields where {len(layout.columns)} belong"
            raise RatingsError(problem, where=f"{path}:{number}", remedy=f"expected '{_EXPECTED}'")
        raw = fields[item]
        yield f"{path}:{number}", raw if keep_spaces else raw.strip(), fields[title]


def _lines(blocks: Iterable[Block]) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line, from the first that is not blank."""
    started = False
    for block in blocks:
        for number, line in enumerate(block.data.decode().split("\n")[:-1], block.first_line):
            started = started or bool(line)
            if started:
                yield number, f"{line}\n"


def _records(
    lines: Iterator[tuple[int, str]], layout: Layout, path: Path
) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields of each record that is not blank, with the number of its first line."""
    taken: list[int] = []

    def texts() -> Iterator[str]:
        for number, text in lines:
            taken.append(number)
            yield text

    reader = csv.reader(
        texts(),
        delimiter=layout.delimiter.decode(),
        quoting=csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        taken.clear()
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise RatingsError(
                f"a quote is not closed, or text follows it ({error})",
                where=f"{path}:{taken[0] if taken else 1}",
                remedy=_NOT_CLOSED,
            ) from error
        if fields is None:
            return
        if fields:
            yield taken[0], fields


def titles_csv(titles: Titles) -> bytes:
    """Write titles as the CSV that :func:`read_titles` reads."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
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
