"""Packed files as streams of bytes: whatever they are called, and zip with one file in it."""

import lzma
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from ncf.data.kinds import Kind, kind_at
from ncf.errors import RatingsError

_STRAYS = ("__MACOSX/", ".", "Thumbs.db", "desktop.ini")
_WORKBOOK = "[Content_Types].xml"
_ENCRYPTED = 0x1


class Stream(Protocol):
    """Bytes, one piece after the other."""

    def read(self, nbytes: int, /) -> bytes:
        """Read so many bytes at most; none at the end."""
        ...


@contextmanager
def unpacked(path: Path, at: Path) -> Iterator[tuple[Stream, bool]]:
    """Open a file as text in bytes, unpacked if need be.

    Parameters
    ----------
    path : Path
        What messages call the file.
    at : Path
        Where its bytes are.

    Yields
    ------
    stream : Stream
        What the file holds.
    packed : bool
        Whether it had to be unpacked.

    Raises
    ------
    RatingsError
        The file is damaged, or holds no or several files.
    """
    kind = kind_at(at)
    try:
        if kind is Kind.ZIP:
            with zipfile.ZipFile(at) as archive, archive.open(_member(archive, path)) as stream:
                yield stream, True
        elif kind is Kind.XZ:
            with lzma.open(at) as stream:
                yield stream, True
        else:
            packed = kind is not Kind.TEXT
            with pa.input_stream(str(at), compression=kind.value if packed else None) as stream:
                yield stream, packed
    except (OSError, EOFError, pa.ArrowInvalid, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error
    except NotImplementedError as error:  # a method of zip that Python does not know
        raise RatingsError(str(error), where=path, remedy="pack it as 'zip' does") from error


def _damaged(path: Path, error: Exception) -> RatingsError:
    remedy = "is the compressed file whole?"
    return RatingsError(f"cannot be read ({error})", where=path, remedy=remedy)


def _member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    every = archive.infolist()
    if any(member.filename == _WORKBOOK for member in every):
        raise RatingsError(
            "the file is an Excel workbook", where=path, remedy="save the sheet as CSV in UTF-8"
        )
    members = [
        member
        for member in every
        if not member.is_dir()
        and not member.filename.startswith(_STRAYS[0])
        and not member.filename.rpartition("/")[2].startswith(_STRAYS[1:])
    ]
    if len(members) != 1:
        names = ", ".join(member.filename for member in members[:6])
        several = f"{len(members)} files ({names})" if members else "no file"
        raise RatingsError(
            f"the zip archive holds {several}",
            where=path,
            remedy="unpack it, and give the file of interactions",
        )
    if members[0].flag_bits & _ENCRYPTED:
        raise RatingsError(
            "the zip archive is encrypted", where=path, remedy="unpack it with its password"
        )
    return members[0]
