"""Turn the body of an HTTP request into a row, as TorchServe does before its handler."""

import email.parser
import email.policy
from typing import Any
from urllib.parse import parse_qsl

from ncf.errors import RequestError

_URL_ENCODED = b"application/x-www-form-urlencoded"
_MULTIPART = b"multipart/form-data"
_MOST_FIELDS = 100


def row_of(content_type: bytes, body: bytes) -> dict[str, Any]:
    """Make the row of a request: ``body``, or the fields of a form.

    Raises
    ------
    RequestError
        A form is malformed.

    Examples
    --------
    >>> row_of(b"application/x-www-form-urlencoded", b"user=196&k=3")
    {'user': '196', 'k': '3'}
    >>> row_of(b"text/plain", b'{"user": "196"}')
    {'body': b'{"user": "196"}'}
    """
    kind = content_type[:80].partition(b";")[0].strip().lower()
    if kind == _URL_ENCODED:
        return _url_encoded(body)
    if kind == _MULTIPART:
        return _multipart(content_type, body)
    return {"body": body}


def _url_encoded(body: bytes) -> dict[str, Any]:
    try:
        fields = parse_qsl(
            body.decode(errors="surrogateescape"),
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError as error:
        raise RequestError("the form has too many fields") from error
    return dict(fields)


def _multipart(content_type: bytes, body: bytes) -> dict[str, Any]:
    head = b"Content-Type: " + content_type.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n\r\n"
    try:
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        fields = {}
        for part in message.iter_parts():
            name, content = (
                part.get_param("name", header="content-disposition"),
                part.get_payload(decode=True),
            )
            if not isinstance(name, str) or content is None:
                raise RequestError("a part of the form has no name")
            fields[name] = content
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RequestError("the form is malformed") from error
    return fields
