"""Turn options, as callers in Python write them, into the types of the layers below."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias, TypeVar

from ncf.errors import UsageError

Place: TypeAlias = str | Path
"""A path of a file or folder."""

_FIRST_YEAR, _LAST_YEAR = 1000, 9998
_Choice = TypeVar("_Choice", bound=StrEnum)

Date: TypeAlias = str | date
"""A day or a moment: text as of ISO 8601, a date, or a datetime."""

Ids: TypeAlias = str | int | Iterable[object]
"""One raw id, or any sequence or column of them."""


def chosen(kind: type[_Choice], value: str, name: str) -> _Choice:
    """Find a choice by its word.

    Raises
    ------
    UsageError
        The word is not a choice; the message lists the choices.

    Examples
    --------
    >>> from ncf.devices import Device
    >>> chosen(Device, "cpu", "device")
    <Device.CPU: 'cpu'>
    """
    try:
        return kind(value)
    except ValueError:
        raise UsageError(
            f"`{name}` {value!r} is not a choice", remedy=f"give one of {', '.join(kind)}"
        ) from None


def moment(date: object, name: str) -> datetime:
    """Turn a logical date that a caller gave into a moment in UTC, to the second.

    A date without a time is its midnight; a time without a zone is in UTC.

    Raises
    ------
    UsageError
        It is no date.

    Examples
    --------
    >>> moment("2026-11-26", "date").isoformat()
    '2026-11-26T00:00:00+00:00'
    >>> moment("2026-11-26T04:00:00+01:00", "date").isoformat()
    '2026-11-26T03:00:00+00:00'
    """
    try:
        found = datetime.fromisoformat(date if isinstance(date, str) else date.isoformat())  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError):
        found = None
    if found is None or not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise UsageError(f"`{name}` {date!r} is not a date", remedy="give one such as 2026-11-26")
    found = found.replace(microsecond=0)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def folder(place: object, name: str) -> Path:
    """Turn a place that a caller gave into a path.

    An empty text is refused, as it would mean the current folder.

    Raises
    ------
    UsageError
        The place is not a path, or is empty.
    """
    if not isinstance(place, str | Path):
        raise UsageError(
            f"`{name}` is of type {type(place).__name__}", remedy="give a path as str or Path"
        )
    if not str(place):
        raise UsageError(f"`{name}` is empty", remedy="give a path")
    return Path(place)
