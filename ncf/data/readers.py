"""Read ratings files: check the width of each row and every value, and keep ids as strings."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from ncf.columns import Columns, usual_column
from ncf.data.blocks import Block, read_blocks
from ncf.data.layouts import Layout, check_quotes, detect_layout
from ncf.data.options import Format
from ncf.data.timestamps import Clock
from ncf.data.values import numbers, refuse_blank
from ncf.errors import RatingsError, UsageError
from ncf.identifiers import Texts
from ncf.progress import Reporter, report

_SEPARATOR = b"\x1f"  # stands in for '::', as Arrow's reader takes delimiters of one byte
GIVE_SOME = "give at least one interaction"
RATE_IT = "give each row a finite number, or leave the column out"


@dataclass(frozen=True)
class Ratings:
    """The rows of a ratings file, in file order.

    Parameters
    ----------
    users, items : pyarrow.DictionaryArray
        Raw ids; int32 codes into distinct strings in order of first appearance.
    timestamps : int64 array of shape (rows,), or None
        Unix time in milliseconds; None where the file has none.
    dropped : int
        Rows left out because their rating is under the minimum.
    """

    users: pa.DictionaryArray
    items: pa.DictionaryArray
    timestamps: npt.NDArray[np.int64] | None
    dropped: int

    def sha256(self) -> str:
        """Digest of the rows, 64 hex digits, for ratings that do not come from a file."""
        digest = hashlib.sha256()
        for ids in (self.users, self.items):
            texts = Texts.pack(ids.dictionary.to_pylist())
            for array in (texts.content, texts.ends, ids.indices.to_numpy()):
                digest.update(array.tobytes())
        digest.update(b"" if self.timestamps is None else self.timestamps.tobytes())
        return digest.hexdigest()


def read_ratings(
    path: Path,
    file_format: Format,
    *,
    min_rating: float | None = None,
    may_be_empty: bool = False,
) -> Ratings:
    """Read a ratings file block by block, in bounded memory.

    Parameters
    ----------
    path : Path
        Text in UTF-8; it may be compressed.
    file_format : Format
        Format of the lines.
    min_rating : float, optional
        Rows rated lower are left out, as if they were not there.
    may_be_empty : bool
        Whether a file with a header and no rows is accepted.

    Raises
    ------
    RatingsError
        A row is malformed; the message names file and line.
    UsageError
        ``min_rating`` is given and the file has no ratings.
    """
    layout: Layout | None = None
    columns = _Collected()
    with report(f"read {path.name}") as progress:
        for block in read_blocks(path):
            rows = block
            if layout is None:
                layout = detect_layout(block, file_format)
                _check_min_rating(layout, min_rating, path)
                rows = block.without_first_row() if layout.header else block
            if rows.data.strip(b"\n"):
                columns.add(rows, layout, min_rating, progress)
    if layout is None:
        raise RatingsError("the file is empty", where=path, remedy=GIVE_SOME)
    return columns.ratings(path, may_be_empty=may_be_empty)


def read_columns(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[Block, pa.Table]]:
    """Yield the rows of a CSV that has only these columns, block by block, as strings.

    The header names them in this order, or by usual names (see :func:`usual_column`).

    Raises
    ------
    RatingsError
        The file is empty, its header differs, or a row is malformed.
    """
    expected = ",".join(columns)
    layout, first = Layout(b",", columns, header=True, expected=expected), True
    for whole in read_blocks(path):
        block = whole
        if first:
            names = block.first_row()[1].decode().replace('"', "").split(",")
            if tuple(map(usual_column, names)) != columns:
                raise block.error(0, "unexpected header", f"expected '{expected}'")
            block, first = block.without_first_row(), False
        if block.data.strip(b"\n"):
            yield block, parse_block(block, layout)
    if first:
        raise RatingsError("the file is empty", where=path, remedy=f"expected '{expected}'")


def parse_block(block: Block, layout: Layout) -> pa.Table:
    """Split the lines of a block into string columns.

    Raises
    ------
    RatingsError
        A row has too few or too many fields, or a quote is not closed.
    """
    if layout.quoted:
        check_quotes(block)
    data, delimiter = block.data, layout.delimiter
    if len(delimiter) > 1:
        data, delimiter = data.replace(delimiter, _SEPARATOR), _SEPARATOR
    bad: list[csv.InvalidRow] = []

    def refuse(row: csv.InvalidRow) -> str:
        bad.append(row)
        return "error"

    try:
        table = csv.read_csv(
            io.BytesIO(data),
            # With more than one thread, Arrow does not know the number of a bad row.
            read_options=csv.ReadOptions(
                column_names=layout.columns, use_threads=False, block_size=len(data) + 1
            ),
            parse_options=csv.ParseOptions(
                delimiter=delimiter.decode(),
                quote_char='"' if layout.quoted else False,
                invalid_row_handler=refuse,
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(layout.columns, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        if not bad:
            raise RatingsError(str(error), where=block.path) from error
        row = bad[0]
        number = (row.number or 1) - 1
        problem = f"{row.actual_columns} fields where {row.expected_columns} belong"
        raise block.error(number, problem, f"expected '{layout.expected}'") from error
    return table


class _Collected:
    """Collects the columns of the blocks read so far."""

    def __init__(self) -> None:
        self._users: list[pa.Array] = []
        self._items: list[pa.Array] = []
        self._timestamps: list[npt.NDArray[np.int64]] = []
        self._clock = Clock()
        self._dropped = 0

    def add(
        self, block: Block, layout: Layout, min_rating: float | None, progress: Reporter
    ) -> None:
        table = parse_block(block, layout)
        for name in (Columns.USER_ID, Columns.ITEM_ID):
            refuse_blank(table, block, name)
        if Columns.TIMESTAMP in layout.columns:
            self._timestamps.append(self._clock.milliseconds(table[Columns.TIMESTAMP], block))
        if Columns.RATING in layout.columns:
            ratings = numbers(table[Columns.RATING], block, Columns.RATING, RATE_IT)
            if min_rating is not None:
                keep = ratings >= min_rating
                self._dropped += int(np.count_nonzero(~keep))
                table = table.filter(pa.array(keep))
                self._timestamps[-1:] = [times[keep] for times in self._timestamps[-1:]]
        self._users.append(table[Columns.USER_ID].combine_chunks().dictionary_encode())
        self._items.append(table[Columns.ITEM_ID].combine_chunks().dictionary_encode())
        progress.advance(table.num_rows)

    def ratings(self, path: Path, *, may_be_empty: bool) -> Ratings:
        users, items = _unify(self._users), _unify(self._items)
        if len(users) == 0 and not may_be_empty:
            problem, remedy = "the file has a header and no rows", GIVE_SOME
            if self._dropped:
                problem = f"none of the {self._dropped:,} rows reaches `min_rating`"
                remedy = "give a lower one"
            raise RatingsError(problem, where=path, remedy=remedy)
        timestamps = np.concatenate(self._timestamps) if self._timestamps else None
        return Ratings(users, items, timestamps, self._dropped)


def _unify(parts: list[pa.Array]) -> pa.DictionaryArray:
    if not parts:
        return pa.array([], pa.string()).dictionary_encode()
    return pa.chunked_array(parts).unify_dictionaries().combine_chunks()


def _check_min_rating(layout: Layout, min_rating: float | None, path: Path) -> None:
    if min_rating is not None and Columns.RATING not in layout.columns:
        raise UsageError(
            "`min_rating` is given and the file has no rating column",
            where=path,
            remedy="leave `min_rating` out, or add the column",
        )
