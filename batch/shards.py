"""Cut an audience into shards, contiguous ranges that become one part each."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """A contiguous range of an audience.

    Parameters
    ----------
    number : int
        Number of the shard, from 0.
    start, stop : int
        The positions ``[start, stop)``.
    """

    number: int
    start: int
    stop: int


def plan(size: int, each: int) -> Iterator[Shard]:
    """Cut an audience into shards of ``each`` users; the last may be smaller.

    Examples
    --------
    >>> list(plan(5, 3))
    [Shard(number=0, start=0, stop=3), Shard(number=1, start=3, stop=5)]
    """
    for number, start in enumerate(range(0, size, each)):
        yield Shard(number, start, min(start + each, size))
