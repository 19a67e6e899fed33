"""HTTP rows: decode and check one request, encode one answer. No torch, no TorchServe."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ncf.errors import RequestError
from ncf.scoring.recommend import Recommendation, Wishes

MAX_K = 1000
_FIELDS = ("user", "k", "exclude", "candidates", "include_seen")
_EXAMPLE = 'send JSON such as {"user": "196", "k": 10}'


@dataclass(frozen=True)
class Request:
    """One checked request.

    Parameters
    ----------
    user : str
        Raw user id.
    wishes : Wishes
        Length of the list and what may be in it.
    """

    user: str
    wishes: Wishes


def decode(row: Mapping[str, object]) -> Request:
    """Check one row of a TorchServe batch.

    Parameters
    ----------
    row : mapping
        ``body`` or ``data``: parsed JSON, or its bytes where the content type had a charset.

    Raises
    ------
    RequestError
        The row is not a request; the message says what to send.
    """
    body = row.get("body", row.get("data"))
    if isinstance(body, bytes | bytearray | str):
        body = _parse(body)
    if not isinstance(body, dict):
        raise RequestError("the body is not a JSON object", remedy=_EXAMPLE)
    unknown = sorted(set(body) - set(_FIELDS))
    if unknown:
        raise RequestError(f"unknown field {unknown[0]!r}", remedy=f"known: {', '.join(_FIELDS)}")
    user = body.get("user")
    if not isinstance(user, str) or not _encodes(user):
        raise RequestError("'user' must be a string, the raw user id", remedy=_EXAMPLE)
    candidates = body.get("candidates")
    return Request(
        user,
        Wishes(
            k=_k(body.get("k", 10)),
            exclude=_ids("exclude", body.get("exclude", [])),
            candidates=None if candidates is None else _ids("candidates", candidates),
            include_seen=_flag("include_seen", body.get("include_seen", False)),
        ),
    )


def encode(found: Recommendation, model: str) -> bytes:
    """One answer as compact JSON; ``model`` is the bundle's short digest."""
    items = []
    for each in found.items:
        item: dict[str, Any] = {"item": each.item}
        if each.score is not None:
            item["score"] = each.score
        if each.title is not None:
            item["title"] = each.title
        items.append(item)
    answer = {"user": found.user, "policy": found.policy.value, "items": items, "model": model}
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


def encode_error(code: str, message: str) -> bytes:
    """One error as compact JSON."""
    answer = {"error": {"code": code, "message": message}}
    return json.dumps(answer, ensure_ascii=True, separators=(",", ":")).encode()


def _parse(body: bytes | bytearray | str) -> object:
    try:
        parsed: object = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError("the body is not JSON", remedy=_EXAMPLE) from error
    return parsed


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def _k(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MAX_K:
        raise RequestError(f"'k' must be a whole number from 1 to {MAX_K}")
    return value


def _ids(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(
        isinstance(each, str) and _encodes(each) for each in value
    ):
        raise RequestError(f"{name!r} must be a list of raw item ids, strings")
    return tuple(value)


def _encodes(text: str) -> bool:
    r"""Whether a text is Unicode: JSON can spell half a surrogate pair, as in ``"\ud800"``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise RequestError(f"{name!r} must be true or false")
    return value
