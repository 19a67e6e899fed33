"""Find which shards of a plan a caller means."""

import re
from collections.abc import Iterable, Sequence
from operator import index

from ncf.errors import UsageError

_SHARDS = re.compile(r"(\d{1,18})(?:(\.\.|/)(\d{1,18}))?")


def chosen_shards(given: int | str | Iterable[int] | None, count: int) -> list[int]:
    """Find which shards are meant.

    Raises
    ------
    UsageError
        A number is not one of the plan's, or the text is none of the forms.

    Examples
    --------
    >>> chosen_shards("1..3", 5), chosen_shards("1/2", 5), chosen_shards(4, 5)
    ([1, 2, 3], [2, 3, 4], [4])
    """
    if given is None:
        return list(range(count))
    if isinstance(given, str):
        given = _parsed(given, count)
    # A range may be longer than fits into memory: its ends are looked at first.
    found: Sequence[int] = given if isinstance(given, range) else _numbers(given)
    for number in (*found[:1], *found[-1:]):
        if not 0 <= number < count:
            raise UsageError(
                f"`shards` {number} is not one of the plan's {count}",
                remedy=f"give numbers from 0 to {count - 1}",
            )
    return sorted(found)


def _numbers(given: int | Iterable[int]) -> list[int]:
    """Take whole numbers of any kind, such as NumPy's, as Python's, which receipts can hold."""
    try:
        each = given if isinstance(given, Iterable) else [given]
        return sorted({int(index(number)) for number in each})
    except TypeError as error:
        raise UsageError(
            f"`shards` {given!r} holds what is no whole number", remedy="give 3, [3, 5] or '3..7'"
        ) from error


def _parsed(text: str, count: int) -> Iterable[int]:
    found = _SHARDS.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"`shards` {text!r} is not I, I..J or I/N", remedy="give 3, 3..7 or 2/16")
    first, sign, last = found.groups()
    if sign == "..":
        if int(first) > int(last):
            raise UsageError(f"`shards` {text}: ends before it starts", remedy="give 3..7")
        return range(int(first), int(last) + 1)
    if sign == "/":
        if int(first) >= int(last):
            raise UsageError(f"`shards` {text}: no such share", remedy="give 0/N to N-1/N")
        return range(int(first) * count // int(last), (int(first) + 1) * count // int(last))
    return [int(first)]
