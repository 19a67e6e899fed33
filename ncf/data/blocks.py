"""Read text files in blocks of whole lines; check the encoding, unify line ends, count lines."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ncf.data.kinds import HEAD_BYTES, refuse_no_text
from ncf.data.unpacking import Stream, unpacked
from ncf.errors import RatingsError

_BLOCK_BYTES = 8 << 20
_BOM = b"\xef\xbb\xbf"
_EXCEL = re.compile(rb'"?sep=.?"?\n')  # tells Excel the delimiter
_TO_UTF8 = "convert it with 'iconv -f {} -t UTF-8'"


@dataclass(frozen=True)
class Block:
    """A block holds some whole lines of a file.

    Parameters
    ----------
    path : Path
        The file they come from, for messages.
    data : bytes
        UTF-8 without NUL bytes; every line, the last too, ends in a line feed.
    first_line : int
        Number of the first line in the file, from 1.
    """

    path: Path
    data: bytes
    first_line: int

    @property
    def noun(self) -> str:
        """Word that messages use for a row."""
        return "line"

    def at(self, number: int) -> str:
        """Name a line as ``file:line``, given its number."""
        return f"{self.path}:{number}"

    def rows(self) -> list[tuple[int, bytes]]:
        """List number and text of each line that is not blank; slow: one Python object a line."""
        lines = enumerate(self.data.split(b"\n"), self.first_line)
        return [(number, line) for number, line in lines if line]

    def first_row(self) -> tuple[int, bytes]:
        """Give number and text of the first line that is not blank."""
        start = len(self.data) - len(self.data.lstrip(b"\n"))
        return self.first_line + start, self.data[start : self.data.index(b"\n", start)]

    def line(self, row: int) -> int:
        """Find the number in the file of the ``row``-th line (from 0) that is not blank."""
        if self.data.startswith(b"\n") or b"\n\n" in self.data:
            return self.rows()[row][0]
        return self.first_line + row

    def place(self, offset: int) -> str:
        """Name the line of a byte of the block as ``file:line``."""
        line = self.first_line + self.data.count(b"\n", 0, offset)
        return self.at(line)

    def without_first_row(self) -> "Block":
        """Drop the first line that is not blank (a header)."""
        number, line = self.first_row()
        skipped = number - self.first_line + len(line) + 1
        return Block(self.path, self.data[skipped:], number + 1)

    def error(self, row: int, problem: str, remedy: str | None = None) -> RatingsError:
        """Make the error that names the ``row``-th line (from 0) that is not blank."""
        return RatingsError(problem, where=self.at(self.line(row)), remedy=remedy)


def read_blocks(
    path: Path, block_bytes: int = _BLOCK_BYTES, at: Path | None = None
) -> Iterator[Block]:
    """Yield a text file in blocks; gzip, bz2, xz, zstd, lz4 and zip with one file are unpacked.

    Parameters
    ----------
    path : Path
        What messages call the file.
    block_bytes : int
        Bytes to read at a time.
    at : Path, optional
        Where the bytes are, if not at ``path``.

    Raises
    ------
    RatingsError
        The file is missing, empty, damaged, or not UTF-8 text.
    """
    first_line = 1
    for data in _whole_lines(path, at or path, block_bytes):
        if first_line == 1 and _EXCEL.match(data):
            data = b"\n" + data.partition(b"\n")[2]  # noqa: PLW2901 - the line stays, for numbers
        block = Block(path, data, first_line)
        _check_text(block)
        first_line += data.count(b"\n")
        if data.strip(b"\n"):
            yield block


def _whole_lines(path: Path, at: Path, block_bytes: int) -> Iterator[bytes]:
    rest, held, first = b"", b"", True
    for chunk in _chunks(path, at, block_bytes):
        data = held + chunk
        if first:
            data, first = data.removeprefix(_BOM), False
        # A carriage return at the very end may be half of a CRLF.
        held = data[-1:] if data.endswith(b"\r") else b""
        data = data[: len(data) - len(held)]
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        cut = data.rfind(b"\n") + 1
        if cut == 0:
            rest += data
            if len(rest) > 2 * block_bytes:
                raise RatingsError(
                    f"a line is longer than {2 * block_bytes:,} bytes",
                    where=path,
                    remedy="is this a text file with one interaction a line?",
                )
            continue
        yield rest + data[:cut]
        rest = data[cut:]
    if rest or held:
        yield rest + b"\n"


def _chunks(path: Path, at: Path, size: int) -> Iterator[bytes]:
    with unpacked(path, at) as (stream, packed):
        head = _head(stream)
        refuse_no_text(head, path, packed=packed)
        yield from (head[start : start + size] for start in range(0, len(head), size))
        while chunk := stream.read(size):
            yield chunk


def _head(stream: Stream) -> bytes:
    head = stream.read(HEAD_BYTES)
    while len(head) < HEAD_BYTES and (more := stream.read(HEAD_BYTES - len(head))):
        head += more
    return head


def _check_text(block: Block) -> None:
    nul = block.data.find(b"\0")
    if nul >= 0:
        raise RatingsError(
            "NUL byte in the text: the file is binary or UTF-16, not UTF-8",
            where=block.place(nul),
            remedy=_TO_UTF8.format("UTF-16"),
        )
    try:
        block.data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RatingsError(
            f"byte 0x{block.data[error.start]:02x} is not UTF-8 (Latin-1?)",
            where=block.place(error.start),
            remedy=_TO_UTF8.format("LATIN1"),
        ) from error
