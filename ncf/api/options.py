"""Turn options, as callers in Python write them, into the types of the layers below."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias, TypeVar

from ncf.errors import UsageError

Place: TypeAlias = str | Path
"""A path of a file or folder."""

_Choice = TypeVar("_Choice", bound=StrEnum)

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
