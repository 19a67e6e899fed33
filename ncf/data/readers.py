"""Ratings files in, text or Parquet: every value checked, ids kept as the strings they are."""

from pathlib import Path

import pyarrow as pa

from ncf.columns import Columns
from ncf.data.blocks import Block, read_blocks
from ncf.data.delimited import parse_block, text_ids
from ncf.data.kinds import Kind, kind_at
from ncf.data.layouts import Layout, detect_layout
from ncf.data.naming import ReadAs
from ncf.data.options import Format
from ncf.data.parquet import read_parts
from ncf.data.parquet_files import count_rows
from ncf.data.parts import parts_of
from ncf.data.ratings import GIVE_SOME, RATE_IT, Collected, Numbers, Ratings, Reading
from ncf.data.timestamps import Clock
from ncf.data.typed_columns import moments, rating_numbers
from ncf.data.values import numbers_or_blank
from ncf.errors import RatingsError, UsageError
from ncf.progress import report


def read_ratings(
    path: Path,
    file_format: Format = Format.AUTO,
    *,
    min_rating: float | None = None,
    may_be_empty: bool = False,
    read_as: ReadAs | None = None,
) -> Ratings:
    """Read a ratings file in bounded memory.

    Parameters
    ----------
    path : Path
        Text in UTF-8, may be compressed; or Parquet, or a folder of Parquet parts, whatever the
        format says.
    file_format : Format
        What the lines look like.
    min_rating : float, optional
        Pairs whose latest rating is lower are left out, as if they were not there.
    may_be_empty : bool
        Whether a header alone is a file without rows, and no error.
    read_as : ReadAs, optional
        Names of columns, spaces, and where the bytes are.

    Raises
    ------
    RatingsError
        A row is malformed; the message names file and line.
    UsageError
        ``min_rating`` is given and the file has no ratings.
    """
    read_as = read_as or ReadAs()
    collected = Collected(min_rating)
    if kind_at(read_as.at or path) is Kind.PARQUET:
        reading = _read_parquet(path, read_as, collected)
    else:
        reading = _read_text(path, file_format, read_as, collected)
    return collected.ratings(path, reading, may_be_empty=may_be_empty)


def _read_text(path: Path, file_format: Format, read_as: ReadAs, collected: Collected) -> Reading:
    layout: Layout | None = None
    clock, trimmed = Clock(), 0
    with report(f"read {path.name}") as progress:
        for block in read_blocks(path, at=read_as.at):
            rows = block
            if layout is None:
                layout = detect_layout(block, file_format, read_as.naming)
                _check_min_rating(layout.columns, collected.min_rating, path)
                if read_as.naming.parts and Columns.PART not in layout.columns:
                    raise block.error(0, f"no column {Columns.PART!r}", "give the parts as files")
                rows = block.without_first_row() if layout.header else block
            if rows.data.strip(b"\n"):
                table = parse_block(rows, layout)
                keep_spaces = read_as.keep_spaces
                trimmed += _add(table, rows, clock, collected, keep_spaces=keep_spaces)
                progress.advance(table.num_rows)
    if layout is None:
        raise RatingsError("the file is empty", where=path, remedy=GIVE_SOME)
    return Reading(layout.format, layout.ignored, trimmed)


def _add(
    table: pa.Table, block: Block, clock: Clock, collected: Collected, *, keep_spaces: bool
) -> int:
    (users, trimmed), (items, more) = (
        text_ids(table[name], name, block, keep_spaces=keep_spaces)
        for name in (Columns.USER_ID, Columns.ITEM_ID)
    )
    times, ratings = None, None
    if Columns.TIMESTAMP in table.column_names:
        times = clock.milliseconds(table[Columns.TIMESTAMP], block)
    if Columns.RATING in table.column_names:
        may_be_blank = collected.min_rating is None
        ratings = numbers_or_blank(
            table[Columns.RATING], block, Columns.RATING, RATE_IT, may_be_blank=may_be_blank
        )
    collected.users.add(users)
    collected.items.add(items)
    given = Columns.PART in table.column_names
    parts = parts_of(table[Columns.PART], block) if given else None
    collected.add_values(times, ratings, parts)
    return trimmed + more


def _read_parquet(path: Path, read_as: ReadAs, collected: Collected) -> Reading:
    clock, ignored, has_times = Clock(), dict[str, None](), None
    collected.expect(count_rows(read_as.at or path))
    with report(f"read {path.name}") as progress:
        for part in read_parts(path, read_as.naming, at=read_as.at):
            _check_min_rating(tuple(part.columns), collected.min_rating, path)
            if has_times not in {None, Columns.TIMESTAMP in part.columns}:
                raise RatingsError(
                    "this part has timestamps or lacks them, unlike those before",
                    where=part.path,
                    remedy="give parts of one schema",
                )
            has_times = Columns.TIMESTAMP in part.columns
            times = moments(part.columns[Columns.TIMESTAMP], part, clock) if has_times else None
            ratings: Numbers | None = None
            if Columns.RATING in part.columns:
                may_be_blank = collected.min_rating is None
                column = part.columns[Columns.RATING]
                ratings = rating_numbers(column, part, may_be_blank=may_be_blank)
            part.add_ids(Columns.USER_ID, collected.users)
            part.add_ids(Columns.ITEM_ID, collected.items)
            given = part.columns.get(Columns.PART)
            parts = None if given is None else parts_of(given, part)
            collected.add_values(times, ratings, parts)
            ignored |= dict.fromkeys(part.ignored)
            progress.advance(len(part))
    return Reading(Format.PARQUET, tuple(ignored))


def _check_min_rating(columns: tuple[str, ...], min_rating: float | None, path: Path) -> None:
    if min_rating is not None and Columns.RATING not in columns:
        raise UsageError(
            "`min_rating` is given and the file has no rating column",
            where=path,
            remedy="leave `min_rating` out, or add the column",
        )
