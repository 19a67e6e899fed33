"""What is fuzzed: functions of bytes, which may end well or raise an NcfError, and nothing else.

Besides that they hold a few truths that any result must keep, so that a wrong answer is a find
too, and not only an exception.
"""

import contextlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from handlers import kserve
from handlers.requests import body_of, check, encode_error
from ncf.columns import Columns
from ncf.data.id_files import read_ids, read_pairs
from ncf.data.options import Format
from ncf.data.ratings import Ratings
from ncf.data.readers import read_ratings
from ncf.data.titles import read_titles
from ncf.data.triple import read_triple, triple_paths
from ncf.errors import NcfError
from tests.fuzz.sealed import read_bundle, scratch

Target = Callable[[bytes], None]

BETWEEN_FILES = b"\n--\n"


def ratings(data: bytes) -> None:
    """Every reader of interactions, ids and titles; the first byte chooses which."""
    read = _READERS[data[0] % len(_READERS)] if data else _read_csv
    unix = data[1:].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found = _outcome(read, _file("input", data[1:]))
    for content in (unix, unix.replace(b"\n", b"\r\n"), unix.replace(b"\n", b"\r")):
        if data[1:5] != b"PAR1" and _outcome(read, _file("input", content)) != found:
            raise AssertionError("line ends change the result")


def triple(data: bytes) -> None:
    """The NCF authors' three files, one after the other in the input."""
    parts = [*data.split(BETWEEN_FILES, 2), b"", b""][:3]
    for path, content in zip(triple_paths(_folder() / "t"), parts, strict=True):
        path.write_bytes(content)
    with contextlib.suppress(NcfError):
        read = read_triple(_folder() / "t")
        _check_ratings(read.ratings)
        _require(len(read.negatives) == len(read.ratings.users) - read.n_train, "rows")
        _require(int(read.negatives.min(initial=0)) >= 0, "negatives are items")
        _require(
            int(read.negatives.max(initial=0)) < len(read.ratings.items.dictionary), "known items"
        )


def request(data: bytes) -> None:
    """The request decoder: a body, a form of one field, and KServe's tensors."""
    name, _, value = data.partition(b"=")
    for row in ({"body": data}, {"data": data.decode("latin-1")}, {name.decode("latin-1"): value}):
        _decode(row)


def bundle(data: bytes) -> None:
    """The bundle reader: one file replaced, and the manifest sealed again over it."""
    if data:
        with contextlib.suppress(NcfError):
            read_bundle(data[0], data[1:])


TARGETS: Mapping[str, Target] = {
    "ratings": ratings,
    "triple": triple,
    "request": request,
    "bundle": bundle,
}


def _decode(row: Mapping[str, object]) -> None:
    try:
        body = body_of(row)
        found = check(kserve.fields_of(body) if kserve.is_kserve(body) else body)
    except NcfError as error:
        encode_error(error.code, str(error))
        _require(400 <= error.http_status < 500, "a bad request is the sender's fault")
        return
    _require(1 <= found.wishes.k <= 1000, "k is in range")
    found.user.encode()


def _read_ratings(file_format: Format, min_rating: float | None = None) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        found = read_ratings(path, file_format, min_rating=min_rating)
        _check_ratings(found)
        return (*_plain(found.users, found.items), _listed(found.timestamps), found.dropped)

    return read


def _read_pairs(path: Path) -> object:
    return _plain(*read_pairs(path))


def _plain(*columns: pa.DictionaryArray) -> tuple[list[str], ...]:
    return tuple(column.to_pylist() for column in columns)


def _listed(array: npt.NDArray[Any] | None) -> list[Any] | None:
    return None if array is None else array.tolist()


_read_csv = _read_ratings(Format.CSV)
_READERS: tuple[Callable[[Path], object], ...] = (
    _read_csv,
    _read_ratings(Format.MOVIELENS),
    _read_ratings(Format.RECBOLE),
    _read_ratings(Format.NCF),
    _read_ratings(Format.CSV, 3.0),
    _read_pairs,
    lambda path: read_ids(path, Columns.USER_ID).to_pylist(),
    read_titles,
)


def _outcome(read: Callable[[Path], object], path: Path) -> object:
    """Tell what was read, or that it was refused; line ends may change where, not whether."""
    try:
        return read(path)
    except NcfError:
        return NcfError


def _check_ratings(found: Ratings) -> None:
    _require(len(found.users) == len(found.items) > 0, "as many users as items")
    for column in (found.users, found.items):
        _require(column.null_count == 0, "no id is missing")
        _require(all(raw.strip() for raw in column.dictionary.to_pylist()), "no id is blank")
    if found.timestamps is not None:
        _require(len(found.timestamps) == len(found.users), "a time a row")
        _require(bool(np.all(found.timestamps >= 0)), "no time before 1970")


def _require(truth: bool, what: str) -> None:  # noqa: FBT001 - an assertion
    if not truth:
        raise AssertionError(what)


def _file(name: str, content: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(content)
    return path


@cache
def _folder() -> Path:
    return scratch()
