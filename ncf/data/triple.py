"""Read the NCF authors' files PREFIX.train.rating, PREFIX.test.rating, PREFIX.test.negative.

Source of the format: He et al., "Neural collaborative filtering", WWW 2017, and its code release.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncf.data.blocks import Block, read_blocks
from ncf.data.delimited import parse_block
from ncf.data.layouts import Layout
from ncf.data.naming import ReadAs
from ncf.data.options import Format
from ncf.data.ratings import Ratings, Reading
from ncf.data.readers import read_ratings
from ncf.errors import RatingsError

_PAIR = r"^\((?P<user>[^(),]*[^(),\s][^(),]*),(?P<item>[^(),]*[^(),\s][^(),]*)\)$"
_EXPECTED = "(user,item), then the sampled items; tabs"


@dataclass(frozen=True)
class Triple:
    """The contents of the three files.

    Parameters
    ----------
    ratings : Ratings
        Training rows, then test rows.
    n_train : int
        Count of training rows.
    negatives : int32 array of shape (test rows, negatives)
        Codes into the dictionary of ``ratings.items``.
    """

    ratings: Ratings
    n_train: int
    negatives: npt.NDArray[np.int32]


def triple_paths(prefix: Path) -> tuple[Path, Path, Path]:
    """Paths of the three files of a prefix."""
    train, test, negative = (
        prefix.with_name(prefix.name + suffix)
        for suffix in (".train.rating", ".test.rating", ".test.negative")
    )
    return train, test, negative


def read_triple(prefix: Path, *, keep_spaces: bool = False) -> Triple:
    """Read the three files of a prefix.

    Raises
    ------
    RatingsError
        A file is missing or malformed, or the test files do not hold the same pairs line by line.
    """
    train_path, test_path, negative_path = triple_paths(prefix)
    read_as = ReadAs(keep_spaces=keep_spaces)
    train = read_ratings(train_path, Format.NCF, read_as=read_as)
    test = read_ratings(test_path, Format.NCF, read_as=read_as)
    users, items, negatives = _read_negatives(negative_path, keep_spaces=keep_spaces)
    _check_same_pairs(test, users, items, negative_path)
    drawn = negatives.dictionary_encode()
    item_codes = _join(train.items, test.items, drawn)
    n_train, n_test = len(train.items), len(test.items)
    timestamps = None
    if train.timestamps is not None and test.timestamps is not None:
        timestamps = np.concatenate([train.timestamps, test.timestamps])
    trimmed = train.reading.trimmed + test.reading.trimmed
    ratings = Ratings(
        _join(train.users, test.users),
        item_codes.slice(0, n_train + n_test),
        timestamps,
        dropped=0,
        reading=Reading(Format.NCF, trimmed=trimmed),
    )
    codes = item_codes.indices.to_numpy()[n_train + n_test :]
    return Triple(ratings, n_train, codes.reshape(n_test, -1).astype(np.int32))


def _read_negatives(path: Path, *, keep_spaces: bool) -> tuple[list[str], list[str], pa.Array]:
    users: list[str] = []
    items: list[str] = []
    rows: list[pa.Array] = []
    layout: Layout | None = None
    for block in read_blocks(path):
        if layout is None:
            width = block.first_row()[1].count(b"\t") + 1
            if width < 2:
                raise block.error(0, "no sampled items", f"expected '{_EXPECTED}'")
            names = tuple(f"column{position}" for position in range(width))
            layout = Layout(b"\t", names, header=False, expected=_EXPECTED)
        table = parse_block(block, layout)
        pairs = _pairs(table.column(0), block)
        whole = _as_it_is if keep_spaces else pc.utf8_trim_whitespace
        users += whole(pairs.field("user")).to_pylist()
        items += whole(pairs.field("item")).to_pylist()
        columns = [whole(column.combine_chunks()) for column in table.columns[1:]]
        for column in columns:
            blank = pc.index(pc.equal(pc.utf8_trim_whitespace(column), ""), value=True).as_py()
            if blank >= 0:
                raise block.error(blank, "an item id is blank", f"expected '{_EXPECTED}'")
        # The columns come one after another; the result has one row for each test pair.
        order = np.arange(table.num_rows * len(columns)).reshape(len(columns), -1).T.ravel()
        rows.append(pa.concat_arrays(columns).take(pa.array(order)))
    if layout is None:
        raise RatingsError("the file is empty", where=path, remedy=f"expected '{_EXPECTED}'")
    return users, items, pa.concat_arrays(rows)


def _as_it_is(column: pa.Array) -> pa.Array:
    return column


def _pairs(column: pa.ChunkedArray, block: Block) -> pa.StructArray:
    pairs = pc.extract_regex(column.combine_chunks(), _PAIR)
    malformed = pc.index(pairs.is_null(), value=True).as_py()
    if malformed >= 0:
        text = column[malformed].as_py()[:80]
        raise block.error(malformed, f"{text!r} is not a pair", "expected '(user,item)'")
    return pairs


def _check_same_pairs(test: Ratings, users: list[str], items: list[str], path: Path) -> None:
    given = list(zip(test.users.to_pylist(), test.items.to_pylist(), strict=True))
    listed = list(zip(users, items, strict=True))
    if len(given) != len(listed):
        raise RatingsError(
            f"{len(listed)} rows where the test ratings have {len(given)}",
            where=path,
            remedy="give the three files of one release",
        )
    for row, (expected, found) in enumerate(zip(given, listed, strict=True), 1):
        if expected != found:
            raise RatingsError(
                f"row {row} is for {found}, the test ratings' row for {expected}",
                where=path,
                remedy="give the three files of one release",
            )


def _join(*parts: pa.DictionaryArray) -> pa.DictionaryArray:
    return pa.chunked_array(parts).unify_dictionaries().combine_chunks()
