"""Decode and check one HTTP request, and encode one answer, without PyTorch or TorchServe."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from handlers.encoding import compact_scores, parse
from handlers.limits import MAX_K, MAX_USER
from ncf.errors import RequestError
from ncf.scoring.queries import Recommendation, Request, Wishes

JSON_TYPE = "application/json"
_FIELDS = ("user", "k", "exclude", "candidates", "include_seen", "exact", "history")
_KNOWN = frozenset(_FIELDS)
_PLAIN = frozenset(("user", "k"))
_EXAMPLE = f'send Content-Type: {JSON_TYPE} and a body such as {{"user": "196", "k": 10}}'
_SHOWN = 80  # characters of a field's name in a message


def body_of(row: Mapping[str, object]) -> dict[str, Any]:
    """Read the fields of one row of a TorchServe batch, not yet checked.

    Parameters
    ----------
    row : mapping
        Has ``body`` or ``data``: JSON as bytes or text, or parsed by TorchServe. Or it has the
        fields of a form: ``user`` as text, the others as JSON.

    Raises
    ------
    RequestError
        The row is neither; the message says what to send.
    """
    body = row.get("body", row.get("data", row))
    if body is row:
        return _form(row)
    if isinstance(body, bytes | bytearray | str):
        body = _parse(body)
    if not isinstance(body, dict):
        raise RequestError("the body is not a JSON object", remedy=_EXAMPLE)
    return body


def check(body: Mapping[str, Any], longest: int = MAX_K) -> Request:
    """Check the fields of one request; ``longest`` is the largest ``k``.

    Raises
    ------
    RequestError
        A field is missing, unknown or malformed; the message says what to send.
    """
    if not body.keys() <= _KNOWN:
        unknown = sorted(map(str, set(body) - _KNOWN))
        raise RequestError(
            f"unknown field {unknown[0][:_SHOWN]!r}", remedy=f"known: {', '.join(_FIELDS)}"
        )
    history = body.get("history")
    # Who gives a history needs no name.
    user = body.get("user", None if history is None else "")
    if not isinstance(user, str) or not _encodes(user) or len(user) > MAX_USER:
        raise RequestError("'user' must be a string, the raw user id", remedy=_EXAMPLE)
    k = _k(body.get("k", min(10, longest)), longest)
    if body.keys() <= _PLAIN:
        return Request(user, _plain(k))
    candidates = body.get("candidates")
    return Request(
        user,
        Wishes(
            k=k,
            exclude=_ids("exclude", body.get("exclude", [])),
            candidates=None if candidates is None else _ids("candidates", candidates),
            include_seen=_flag("include_seen", body.get("include_seen", False)),
            exact=_flag("exact", body.get("exact", False)),
            history=None if history is None else _ids("history", history),
        ),
    )


def encode(found: Recommendation, model: str) -> bytes:
    """Encode one answer as compact JSON; ``model`` is the bundle's short digest."""
    scores = [score for _, _, score in found.items if score is not None]
    items = [_item(*each) for each in found.items]
    who = {"user": found.user} if found.user else {}
    answer = {**who, "policy": found.policy.value, "items": items, **use_of(found), "model": model}
    return compact_scores(answer, scores)


def _item(raw: str, title: str | None, score: float | None) -> dict[str, Any]:
    if score is None:
        return {"item": raw} if title is None else {"item": raw, "title": title}
    if title is None:
        return {"item": raw, "score": score}
    return {"item": raw, "score": score, "title": title}


def use_of(found: Recommendation) -> dict[str, Any]:
    """Describe what became of a given history; nothing if none was given."""
    use = found.history
    if use is None:
        return {}
    return {"history": {"known": use.known, "unknown": use.unknown}, "refreshed": use.refreshed}


def encode_error(code: str, message: str) -> bytes:
    """Encode one error as compact JSON in ASCII: a message may quote text that is not Unicode."""
    answer = {"error": {"code": code, "message": message}}
    return json.dumps(answer, separators=(",", ":")).encode()


def _form(row: Mapping[str, object]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in row.items():
        # By default curl sends JSON as a form, in which the JSON is the name of a field.
        if name not in _FIELDS or not isinstance(value, bytes | bytearray | str):
            raise RequestError("the body is a form of unknown fields", remedy=_EXAMPLE)
        if name != "user":
            fields[name] = _parse(value)
        elif isinstance(value, str):
            fields[name] = value
        else:
            fields[name] = value.decode(errors="surrogateescape")
    if not fields:
        raise RequestError("no body, or a form without fields", remedy=_EXAMPLE)
    return fields


def _parse(body: bytes | bytearray | str) -> object:
    try:
        return parse(body)
    except (ValueError, RecursionError) as error:
        raise RequestError("the body is not JSON", remedy=_EXAMPLE) from error


@lru_cache(MAX_K)
def _plain(k: int) -> Wishes:
    """Make the wishes of nearly every request once."""
    return Wishes(k)


def _k(value: object, longest: int) -> int:
    if type(value) is not int or not 1 <= value <= longest:
        raise RequestError(f"'k' must be a whole number from 1 to {longest}")
    return value


def _ids(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(
        isinstance(each, str) and _encodes(each) for each in value
    ):
        raise RequestError(f"{name!r} must be a list of raw item ids, strings")
    return tuple(value)


def _encodes(text: str) -> bool:
    r"""Whether a text is Unicode: JSON can hold half a surrogate pair, as in ``"\ud800"``."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise RequestError(f"{name!r} must be true or false")
    return value
