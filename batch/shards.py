"""Shards: contiguous ranges of an audience; each becomes one part."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """A contiguous range of an audience.

    Parameters
    ----------
    number : int
        From 0.
    start, stop : int
        Positions in ``[start, stop)``.
    """

    number: int
    start: int
    stop: int


def plan(size: int, each: int) -> Iterator[Shard]:
    """Cut an audience into shards of ``each`` users; the last may be smaller."""
    for number, start in enumerate(range(0, size, each)):
        yield Shard(number, start, min(start + each, size))
