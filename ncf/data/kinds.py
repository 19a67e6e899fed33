"""What a file really is, told by its first bytes and not by its name."""

import stat
from enum import StrEnum
from pathlib import Path

from ncf.errors import RatingsError

HEAD_BYTES = 512  # as far as the mark of a tar archive


class Kind(StrEnum):
    """Kinds of files that can be read."""

    TEXT = "text"
    PARQUET = "Parquet"
    ZIP = "zip"
    GZIP = "gzip"
    BZ2 = "bz2"
    XZ = "xz"
    ZSTD = "zstd"
    LZ4 = "lz4"


_READ = (
    (b"PAR1", Kind.PARQUET),
    (b"PK\x03\x04", Kind.ZIP),
    (b"PK\x05\x06", Kind.ZIP),  # without members
    (b"\x1f\x8b", Kind.GZIP),
    (b"BZh", Kind.BZ2),
    (b"\xfd7zXZ\0", Kind.XZ),
    (b"\x28\xb5\x2f\xfd", Kind.ZSTD),
    (b"\x04\x22\x4d\x18", Kind.LZ4),
)
_AS_TABLE = "export the table as CSV or Parquet"
_TO_UTF8 = "convert it with 'iconv -f {0} -t UTF-8'"
_UTF_32, _UTF_16 = _TO_UTF8.format("UTF-32"), _TO_UTF8.format("UTF-16")
_AS_PARQUET = "read it with its own library, and give the frame or a Parquet file of it"
_UNPACK = "unpack it, and give the file of interactions"
_REFUSED = (  # of two that begin alike the longer mark stands first
    (b"\xff\xfe\0\0", "the file is UTF-32, not UTF-8", _UTF_32),
    (b"\0\0\xfe\xff", "the file is UTF-32, not UTF-8", _UTF_32),
    (b"\xff\xfe", "the file is UTF-16, not UTF-8", _UTF_16),
    (b"\xfe\xff", "the file is UTF-16, not UTF-8", _UTF_16),
    (b"PARE", "the file is encrypted Parquet", "write it without encryption"),
    (b"SQLite format 3\0", "the file is an SQLite database", _AS_TABLE),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "the file is an old Excel workbook", _AS_TABLE),
    (b"ARROW1", "the file is Arrow IPC (Feather)", _AS_PARQUET),
    (b"FEA1", "the file is Feather of version 1", _AS_PARQUET),
    (b"ORC", "the file is ORC", _AS_PARQUET),
    (b"Obj\x01", "the file is Avro", _AS_PARQUET),
    (b"\x89HDF", "the file is HDF5", _AS_PARQUET),
    (b"\x93NUMPY", "the file is a NumPy array", _AS_PARQUET),
    (b"\x80\x04\x95", "the file is a pickle", _AS_PARQUET),
    (b"\x80\x05\x95", "the file is a pickle", _AS_PARQUET),
    (b"7z\xbc\xaf\x27\x1c", "the file is a 7-Zip archive", _UNPACK),
    (b"Rar!", "the file is a RAR archive", _UNPACK),
    (b"\x1f\x9d", "the file is packed by 'compress'", _UNPACK),
    (b"%PDF-", "the file is a PDF", _AS_TABLE),
    (
        b"version https://git-lfs",
        "the file is a pointer of Git LFS, not the data",
        "fetch the data with 'git lfs pull'",
    ),
)
_TAR_AT = 257
_FROM_JSON = "read it with pandas.read_json, and give the frame or a Parquet file of it"
_WEB = (b"<!doctype html", b"<html", b"<?xml")


def kind_of(head: bytes) -> Kind:
    """Tell the kind of a file that begins with these bytes.

    Examples
    --------
    >>> kind_of(b"PAR1"), kind_of(b"user_id,item_id")
    (<Kind.PARQUET: 'Parquet'>, <Kind.TEXT: 'text'>)
    """
    if head == b"\x1f":  # gzip, cut off after its first byte
        return Kind.GZIP
    return next((kind for mark, kind in _READ if head.startswith(mark)), Kind.TEXT)


def kind_at(path: Path) -> Kind:
    """Tell the kind of a file, or of a folder (of Parquet, as no other can be read).

    Raises
    ------
    RatingsError
        There is no such file.
    """
    if path.is_dir():
        return Kind.PARQUET
    if not path.is_file():
        raise RatingsError("no such file", where=path, remedy="check the path")
    with path.open("rb") as file:
        return kind_of(file.read(HEAD_BYTES))


def is_stream(path: Path) -> bool:
    """Tell whether a path can be read but once: a pipe, or a process substitution."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def refuse_no_text(head: bytes, path: Path, *, packed: bool = False) -> None:
    """Refuse what is no text with a line for each row, and say what it is.

    Parameters
    ----------
    head : bytes
        How the file begins, unpacked.
    path : Path
        The file.
    packed : bool
        Whether it was packed in another.

    Raises
    ------
    RatingsError
        It is something else.
    """
    for mark, problem, remedy in _REFUSED:
        if head.startswith(mark):
            raise RatingsError(problem, where=path, remedy=remedy)
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        raise RatingsError("the file is a tar archive", where=path, remedy=_UNPACK)
    kind = kind_of(head)
    if packed and kind is not Kind.TEXT:
        raise RatingsError(f"the file holds another, of {kind}", where=path, remedy=_UNPACK)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith((b'{"', b"[{", b"{ ", b"{\n")):
        raise RatingsError("the file is JSON, not a table", where=path, remedy=_FROM_JSON)
    if text[:16].lower().startswith(_WEB):
        raise RatingsError(
            "the file is a page of HTML or XML, as a failed download leaves",
            where=path,
            remedy="fetch the data again",
        )
