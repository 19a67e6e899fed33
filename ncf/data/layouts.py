"""Find the layout of a ratings file in its first line: delimiter, header, order of columns."""

import re
from dataclasses import dataclass

from ncf.columns import Columns, usual_column
from ncf.data.blocks import Block
from ncf.data.options import Format
from ncf.errors import RatingsError

_POSITIONAL = (Columns.USER_ID, Columns.ITEM_ID, Columns.RATING, Columns.TIMESTAMP)
_FIELD = rb'(?:"(?:[^"\n]|"")*"|(?:[^",\n][^,\n]*)?)'
_MISQUOTED = re.compile(rb"^(?!" + _FIELD + rb"(?:," + _FIELD + rb")*$).+$", re.MULTILINE)
_CSV_HEADER = "user_id,item_id[,rating][,timestamp]"


@dataclass(frozen=True)
class Layout:
    """The layout of a file says where each column is.

    Parameters
    ----------
    delimiter : bytes
        Separates fields; two bytes for MovieLens' ``::``.
    columns : tuple of str
        Names in the order of the file.
    header : bool
        Whether the first line holds the names.
    expected : str
        The first line that the format calls for, for messages.
    """

    delimiter: bytes
    columns: tuple[str, ...]
    header: bool
    expected: str

    @property
    def quoted(self) -> bool:
        """Whether fields may be in double quotes (only in comma-separated files)."""
        return self.delimiter == b","


NCF_LAYOUT = Layout(
    b"\t", _POSITIONAL, header=False, expected="user, item, rating, timestamp; tabs"
)


def check_quotes(block: Block) -> None:
    """Refuse a quote that is not closed on its line, or that is followed by text (RFC 4180).

    Raises
    ------
    RatingsError
        The message names the line.
    """
    if b'"' in block.data and (found := _MISQUOTED.search(block.data)):
        raise RatingsError(
            "a quote is not closed, or text follows it",
            where=block.place(found.start()),
            remedy="write a quote inside quotes twice, and an id on one line",
        )


def detect_layout(block: Block, file_format: Format) -> Layout:
    """Find the layout from the first line of the first block.

    Raises
    ------
    RatingsError
        The first line fits no layout of the format; the message names the expected one.
    """
    if file_format is Format.NCF:
        return NCF_LAYOUT
    if file_format is Format.CSV:
        return _by_header(block, b",", _CSV_HEADER)
    if file_format is Format.RECBOLE:
        return _by_header(block, b"\t", "user_id:token<TAB>item_id:token[<TAB>rating:float]…")
    return _movielens(block)


def _by_header(block: Block, delimiter: bytes, expected: str) -> Layout:
    if delimiter == b",":
        check_quotes(block)
    names = _names(block, delimiter)
    columns = tuple(_canonical(name) for name in names)
    known = [column for column in columns if column is not None]
    required = {Columns.USER_ID, Columns.ITEM_ID}
    if len(known) != len(columns) or len(set(known)) != len(known) or not required <= set(known):
        text = block.first_row()[1].decode()[:80]
        raise block.error(0, f"header is {text!r}", f"expected '{expected}'")
    return Layout(delimiter, tuple(known), header=True, expected=expected)


def _movielens(block: Block) -> Layout:
    first = block.first_row()[1]
    expected = "user::item::rating::timestamp, or the same with tabs or commas"
    for delimiter in (b"::", b"\t", b","):
        if any(map(_canonical, _names(block, delimiter))):
            return _by_header(block, delimiter, "userId,movieId,rating,timestamp")
    fitting = (mark for mark in (b"::", b"\t", b",") if first.count(mark) in {2, 3})
    delimiter = next(fitting, b"")
    if not delimiter:
        raise block.error(0, "the line has neither three nor four fields", f"expected '{expected}'")
    width = first.count(delimiter) + 1
    return Layout(delimiter, _POSITIONAL[:width], header=False, expected=expected)


def _names(block: Block, delimiter: bytes) -> list[str]:
    fields = block.first_row()[1].split(delimiter)
    return [field.decode().strip().strip('"').partition(":")[0] for field in fields]


def _canonical(name: str) -> str | None:
    column = usual_column(name)
    return None if column == Columns.TITLE else column  # titles are read from a separate file
