"""Options as callers in Python write them, turned into what the layers below take."""

from enum import StrEnum
from pathlib import Path
from typing import TypeAlias, TypeVar

from ncf.errors import UsageError

Place: TypeAlias = str | Path
"""A file or folder."""

_Choice = TypeVar("_Choice", bound=StrEnum)


def chosen(kind: type[_Choice], value: str, name: str) -> _Choice:
    """Find a choice by its word.

    Raises
    ------
    UsageError
        The word is none of them; the message lists them.

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

    Raises
    ------
    UsageError
        It is no path; an empty one would be the folder that the program runs in.
    """
    if not isinstance(place, str | Path):
        raise UsageError(
            f"`{name}` is of type {type(place).__name__}", remedy="give a path as str or Path"
        )
    if not str(place):
        raise UsageError(f"`{name}` is empty", remedy="give a path")
    return Path(place)
