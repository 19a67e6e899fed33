"""Quotes in delimited text, as RFC 4180 has them with any of three delimiters."""

import re

from ncf.data.blocks import Block
from ncf.errors import RatingsError

QUOTED = (b",", b";", b"|")
"""Delimiters between which fields may stand in double quotes."""


def _misquoted(mark: bytes) -> re.Pattern[bytes]:
    """Match a line whose fields are not quoted as RFC 4180 says, with this delimiter."""
    other = b'[^"' + mark + rb"\n][^" + mark + rb"\n]*"
    field = rb'(?:"(?:[^"\n]|"")*"|(?:' + other + rb")?)"
    rest = rb"(?:[" + mark + rb"]" + field + rb")*"
    return re.compile(rb"^(?!" + field + rest + rb"$).+$", re.MULTILINE)


_MISQUOTED = {mark: _misquoted(mark) for mark in QUOTED}


def check_quotes(block: Block, delimiter: bytes) -> None:
    """Refuse a quote that is not closed on its line, or that text follows (RFC 4180).

    Raises
    ------
    RatingsError
        The message names the line.
    """
    if b'"' in block.data and (found := _MISQUOTED[delimiter].search(block.data)):
        raise RatingsError(
            "a quote is not closed, or text follows it",
            where=block.place(found.start()),
            remedy="write a quote inside quotes twice, and an id on one line",
        )
