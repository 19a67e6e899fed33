"""Requests of many users in one body: ``{"requests": [...]}``, each answered on its own."""

from collections.abc import Mapping, Sequence
from typing import Any

from handlers.limits import MAX_USER
from ncf.errors import RequestError
from ncf.scoring.queries import Request

MAX_REQUESTS = 1000
_EXAMPLE = 'send {"requests": [{"user": "196", "k": 10}, {"user": "7"}]}'
_FIELD = "requests"


def is_many(body: Mapping[str, Any]) -> bool:
    """Whether a body asks for many users."""
    return _FIELD in body


def requests_of(body: Mapping[str, Any]) -> list[object]:
    """List the requests of a body, not yet checked.

    Raises
    ------
    RequestError
        They are not a list, none, or too many.
    """
    if len(body) != 1:
        raise RequestError(f"{_FIELD!r} stands beside other fields", remedy=_EXAMPLE)
    found = body[_FIELD]
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_REQUESTS:
        raise RequestError(f"{_FIELD!r} must be a list of 1 to {MAX_REQUESTS}", remedy=_EXAMPLE)
    return found


def check_size(requests: Sequence[Request], most_items: int) -> None:
    """Refuse requests whose answers might not fit in one body.

    Raises
    ------
    RequestError
        They ask for too many items, or their user ids are too long.
    """
    if sum(each.wishes.k for each in requests) > most_items:
        raise RequestError(f"the requests ask for more than {most_items} items in all")
    if sum(len(each.user) for each in requests) > MAX_USER:
        raise RequestError(f"the user ids have more than {MAX_USER} characters in all")


def encode(answers: Sequence[tuple[int, bytes]]) -> bytes:
    """Put the answers in one body, in order; an error gets its HTTP status as ``status``.

    Examples
    --------
    >>> encode([(200, b'{"user":"7"}'), (400, b'{"error":{}}')]).decode()
    '{"responses":[{"user":"7"},{"error":{},"status":400}]}'
    """
    parts = [
        body if status == 200 else body[:-1] + b',"status":%d}' % status for status, body in answers
    ]
    return b'{"responses":[' + b",".join(parts) + b"]}"
