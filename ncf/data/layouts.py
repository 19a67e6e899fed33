"""Layout of a ratings file: delimiter, header, columns; told from its first line."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ncf.columns import Columns, usual_column
from ncf.data.blocks import Block
from ncf.data.naming import REQUIRED, Naming, Wanted, known
from ncf.data.options import Format
from ncf.data.quotes import QUOTED
from ncf.errors import RatingsError

_POSITIONAL = (Columns.USER_ID, Columns.ITEM_ID, Columns.RATING, Columns.TIMESTAMP)
CSV_HEADER = "user_id,item_id[,rating][,timestamp]"
_HEADERS = {
    Format.RECBOLE: "user_id:token<TAB>item_id:token[<TAB>rating:float]…",
    Format.MOVIELENS: "userId,movieId,rating,timestamp",
}
_MOVIELENS_ROW = "user::item::rating::timestamp, or the same with tabs or commas"
_READ = {b",": "commas", b"\t": "tabs", b"::": "'::'"}
_BY_HEADER = {b";": "';'", b"|": "'|'"}  # read where they part the header into known names
_MARKS = {Format.CSV: (b",",), Format.RECBOLE: (b"\t",)}
_OTHERS = {Format.CSV: (*_BY_HEADER,), Format.AUTO: (*_BY_HEADER,)}
_WITHOUT_HEADER = {Format.MOVIELENS: (b"::", b"\t", b","), Format.AUTO: (b"::",)}
_BY_POSITION = 'number them: `columns="user=1,item=2"`'
_NUMBER = re.compile(rb"\s*-?[\d.]+\s*")


@dataclass(frozen=True)
class Layout:
    """Where each column stands.

    Parameters
    ----------
    delimiter : bytes
        Between fields; two bytes for MovieLens' ``::``.
    columns : tuple of str
        Names in the order of the file; those of ignored columns begin with a space.
    header : bool
        Whether the first line holds the names.
    expected : str
        The first line that the format calls for, for messages.
    format : Format
        What the file turned out to be.
    ignored : tuple of str
        Names of columns that are left aside, as in the file.
    """

    delimiter: bytes
    columns: tuple[str, ...]
    header: bool
    expected: str
    format: Format = Format.CSV
    ignored: tuple[str, ...] = ()

    @property
    def quoted(self) -> bool:
        """Whether fields may stand in double quotes: not between tabs and ``::``."""
        return self.delimiter in QUOTED

    @property
    def wanted(self) -> list[str]:
        """Columns that are read."""
        return [name for name in self.columns if not name.startswith(" ")]


NCF_LAYOUT = Layout(
    b"\t",
    _POSITIONAL,
    header=False,
    expected="user, item, rating, timestamp; tabs",
    format=Format.NCF,
)


def detect_layout(block: Block, file_format: Format, naming: Naming | None = None) -> Layout:
    """Tell the layout from the first line of the first block.

    Raises
    ------
    RatingsError
        The first line fits no layout of the format; the message names the expected one, or asks
        which column is which.
    """
    naming = naming or Naming()
    if file_format is Format.NCF:
        return NCF_LAYOUT
    line = block.first_row()[1]
    marks = sorted(_MARKS.get(file_format, _READ), key=line.count, reverse=True)
    if naming.positions is not None:
        return layout_by_position(block, marks, naming.positions)
    expected = _HEADERS.get(file_format, CSV_HEADER)
    for mark in (*marks, *_OTHERS.get(file_format, ())):
        names = split_names(block, mark)
        if known(names) or _named(names, naming):
            fitting = expected if mark in _READ else expected.replace(",", mark.decode())
            return layout_of_header(block, mark, naming, naming.wanted(fitting))
    for mark in _WITHOUT_HEADER.get(file_format, ()):
        if (layout := _without_header(block, mark)) is not None:
            return layout
    if file_format is Format.MOVIELENS and not _has_names(block, marks):
        _refuse_other_delimiter(block, marks, _MOVIELENS_ROW)
        raise block.error(
            0, "the line has neither three nor four fields", f"expected '{_MOVIELENS_ROW}'"
        )
    raise _unknown(block, marks, naming, expected)


def mark_of_header(block: Block, columns: Sequence[str], naming: Naming | None = None) -> bytes:
    """Tell the delimiter that parts the first line into names of which these columns are known.

    It is the comma where none does.
    """
    line, naming = block.first_row()[1], naming or Naming()
    marks = sorted((b",", b"\t", *_BY_HEADER), key=line.count, reverse=True)
    for mark in marks:
        names = split_names(block, mark)
        if known(names, columns) or _named(names, naming):
            return mark
    return b","


def layout_of_header(block: Block, delimiter: bytes, naming: Naming, wanted: Wanted) -> Layout:
    """Take the columns by the names in the first line.

    Raises
    ------
    RatingsError
        A column is missing or ambiguous.
    """
    names = split_names(block, delimiter)

    def refuse(problem: str, remedy: str) -> RatingsError:
        text = block.first_row()[1].decode()[:80]
        told = f"header is {text!r}: {problem}"
        return block.error(0, told, f"expected '{wanted.expected}', or {remedy}")

    places = naming.locate(names, refuse, wanted)
    by_place = {place: column for column, place in places.items()}
    columns = tuple(by_place.get(place, f" {place}") for place in range(len(names)))
    ignored = tuple(name for place, name in enumerate(names) if place not in by_place)
    found = _format(block, delimiter)
    return Layout(
        delimiter, columns, header=True, expected=wanted.expected, format=found, ignored=ignored
    )


def split_names(block: Block, delimiter: bytes) -> list[str]:
    """Split the first line into names, without quotes and RecBole's types (``:token``)."""
    line = block.first_row()[1].decode()
    mark = delimiter.decode()
    fields = line.split(mark)
    if len(mark) == 1 and '"' in line:
        fields = next(csv.reader([line], delimiter=mark), fields)
    return [field.strip().strip('"').partition(":")[0].strip() for field in fields]


def _format(block: Block, delimiter: bytes) -> Format:
    if delimiter in QUOTED:
        return Format.CSV
    return Format.RECBOLE if b":token" in block.first_row()[1] else Format.MOVIELENS


def _named(names: Sequence[str], naming: Naming) -> bool:
    lowered = [name.lower() for name in names]
    return any(name.lower() in lowered for name in naming.names.values())


def _has_names(block: Block, marks: Sequence[bytes]) -> bool:
    return any(map(usual_column, (n for mark in marks for n in split_names(block, mark))))


def layout_by_position(block: Block, marks: Sequence[bytes], positions: dict[str, int]) -> Layout:
    """Take the columns by their positions, from 0.

    Raises
    ------
    RatingsError
        The first line has fewer fields.
    """
    line = block.first_row()[1]
    mark = max(marks, key=line.count)
    width, last = line.count(mark) + 1, max(positions.values())
    if last >= width or min(positions.values()) < 0:
        raise block.error(
            0, f"{width} fields, and `columns` names the {last + 1}th", "count from 1"
        )
    by_place = {place: column for column, place in positions.items()}
    columns = tuple(by_place.get(place, f" {place}") for place in range(width))
    ignored = tuple(name for name in columns if name.startswith(" "))
    expected = f"{width} fields between {_READ[mark]}"
    header = _has_names(block, [mark])
    found = _format(block, mark)
    return Layout(mark, columns, header, expected, found, ignored)


def _without_header(block: Block, mark: bytes) -> Layout | None:
    """MovieLens' rows, whose order is known; None where it might be another's."""
    line = block.first_row()[1]
    width = line.count(mark) + 1
    if width not in {3, 4} or _has_names(block, [mark]):
        return None
    numbers = all(_NUMBER.fullmatch(field) for field in line.split(mark)[:2])
    if mark == b"," and not numbers:  # Amazon's, for one, have the item first
        raise block.error(
            0, "no header, and the ids are not MovieLens': which is the user's?", _BY_POSITION
        )
    columns = _POSITIONAL[:width]
    return Layout(mark, columns, header=False, expected=_MOVIELENS_ROW, format=Format.MOVIELENS)


def _unknown(block: Block, marks: Sequence[bytes], naming: Naming, expected: str) -> RatingsError:
    _refuse_other_delimiter(block, marks, expected)
    line = block.first_row()[1]
    text = line.decode()[:80]
    mark = max(marks, key=line.count)
    fields = line.split(mark)
    if any(map(_NUMBER.fullmatch, fields)) and not _has_names(block, marks):
        return block.error(
            0,
            f"no header: the first line is {text!r}, and which field is the user's is unknown",
            f"expected '{expected}', or {_BY_POSITION}",
        )
    if naming.names:
        layout_of_header(block, mark, naming, naming.wanted(expected))  # says what is not there
    missing = " and no ".join(
        repr(column) for column in REQUIRED if not known(split_names(block, mark), [column])
    )
    problem = f"header is {text!r}: no column {missing}"
    return block.error(0, problem, f"expected '{expected}', or {naming.remedy}")


def _refuse_other_delimiter(block: Block, marks: Sequence[bytes], expected: str) -> None:
    """Say so where another delimiter would make a header, or three fields at least."""
    line = block.first_row()[1]
    text, wanted = line.decode()[:80], " or ".join(_READ[mark] for mark in marks)
    for mark, word in {**_BY_HEADER, **_READ}.items():
        if mark in marks:
            continue
        many = line.count(mark) >= 1 and not any(each in line for each in marks)
        if known(split_names(block, mark)) or many:
            raise block.error(
                0,
                f"header is {text!r}: fields are separated by {word}, not by {wanted}",
                f"expected '{expected}'; write it with commas"
                + (', or use `format="auto"`' if mark in _READ else ""),
            )
