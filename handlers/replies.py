"""An HTTP answer before it is sent."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from handlers.encoding import compact
from handlers.requests import encode_error

JSON = b"application/json"
Pairs = tuple[tuple[bytes, bytes], ...]


class Reply(NamedTuple):
    """An HTTP answer; a tuple, as all that is made for each request, for speed.

    Parameters
    ----------
    status : int
        HTTP status.
    body : bytes
        Content.
    content_type : bytes
        Its type.
    headers : tuple of pairs of bytes
        Further headers.
    unread : bool
        Whether the client may still be sending: then the connection ends after the answer.
    policy : str
        Policy of the one list that it holds; empty for anything else.
    """

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Pairs = ()
    unread: bool = False
    policy: str = ""


def json_reply(document: Mapping[str, Any], status: int = 200) -> Reply:
    """Answer with a JSON object."""
    return Reply(status, compact(document))


def error_reply(status: int, code: str, message: str, *, tensors: bool = False) -> Reply:
    """Answer with an error, in the form of KServe's V2 protocol if ``tensors``."""
    body = compact({"error": message}) if tensors else encode_error(code, message)
    headers: Pairs = ()
    if status == 503:
        headers = ((b"retry-after", b"1"),)
    elif status == 408:
        headers = ((b"connection", b"close"),)
    elif status == 401:
        headers = ((b"www-authenticate", b"Bearer"),)
    return Reply(status, body, headers=headers, unread=status in {413, 503})
