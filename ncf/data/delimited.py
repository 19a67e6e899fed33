"""Delimited text: lines into columns, every row's width checked; ids trimmed and given codes."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from ncf.data.blocks import Block, read_blocks
from ncf.data.id_types import encode_ids
from ncf.data.layouts import Layout, layout_by_position, layout_of_header, mark_of_header
from ncf.data.naming import Naming, Wanted
from ncf.data.quotes import check_quotes
from ncf.data.values import NAME_IT
from ncf.errors import RatingsError

_SEPARATOR = b"\x1f"  # stands in for '::', as Arrow's reader takes delimiters of one byte


def read_columns(
    path: Path, columns: tuple[str, ...], naming: Naming
) -> Iterator[tuple[Block, pa.Table]]:
    """Yield the rows of a text file with these columns alone, block by block, as strings.

    The header names them by the caller's names or by usual ones (see
    :func:`ncf.columns.usual_column`) in any order, maybe among others; or the caller numbers them.

    Raises
    ------
    RatingsError
        The file is empty, its header is another, or a row is malformed.
    """
    layout: Layout | None = None
    expected = ",".join(columns)
    for whole in read_blocks(path):
        block = whole
        if layout is None:
            layout = _layout(whole, columns, naming, expected)
            block = whole.without_first_row() if layout.header else whole
        if block.data.strip(b"\n"):
            yield block, parse_block(block, layout)
    if layout is None:
        raise RatingsError("the file is empty", where=path, remedy=f"expected '{expected}'")


def _layout(block: Block, columns: tuple[str, ...], naming: Naming, expected: str) -> Layout:
    if (positions := naming.positions_of(columns, columns)) is not None:
        line = block.first_row()[1]
        marks = sorted((b",", b"\t"), key=line.count, reverse=True)
        return layout_by_position(block, marks, positions)
    wanted = Wanted(expected, columns, optional=())
    return layout_of_header(block, mark_of_header(block, columns, naming), naming, wanted)


def parse_block(block: Block, layout: Layout) -> pa.Table:
    """Split the lines of a block into string columns; those to ignore are left out.

    Raises
    ------
    RatingsError
        A row has too few or too many fields, or a quote is not closed.
    """
    if layout.quoted:
        check_quotes(block, layout.delimiter)
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
            # One thread: only then does Arrow know the number of a bad row.
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
                include_columns=layout.wanted,
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


def text_ids(
    column: pa.ChunkedArray, name: str, rows: Block, *, keep_spaces: bool
) -> tuple[pa.DictionaryArray, int]:
    """Give codes to the ids of a block, without the spaces around them.

    Returns
    -------
    ids : DictionaryArray
        Codes into distinct ids, in order of first appearance.
    trimmed : int
        Rows whose id had spaces around it.

    Raises
    ------
    RatingsError
        An id is blank, or quoted after a space.
    """
    ids = encode_ids(column)
    texts = pc.utf8_trim_whitespace(ids.dictionary)
    if pc.any(pc.equal(texts, "")).as_py():
        row = _first(ids, pc.equal(texts, ""))
        raise rows.error(row, f"{name} is blank", NAME_IT)
    if keep_spaces or texts.equals(ids.dictionary):
        return ids, 0
    changed = pc.not_equal(texts, ids.dictionary)
    quoted = pc.and_(changed, pc.starts_with(texts, '"'))
    if pc.any(quoted).as_py():
        raise rows.error(
            _first(ids, quoted), "a space before a quote", "remove the spaces around the delimiters"
        )
    count = int(np.count_nonzero(changed.to_numpy(zero_copy_only=False)[ids.indices.to_numpy()]))
    merged = texts.dictionary_encode()
    codes = merged.indices.take(ids.indices)
    return pa.DictionaryArray.from_arrays(codes, merged.dictionary), count


def _first(ids: pa.DictionaryArray, marked: pa.BooleanArray) -> int:
    return int(pc.index(marked.take(ids.indices), value=True).as_py())
