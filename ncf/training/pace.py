"""Pace a chore by what it costs, so that it takes a bounded share of the time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Pace:
    """Says when a chore is due: at once, and then whenever its share of the time is not exceeded.

    Parameters
    ----------
    share : float
        Largest share of the time, in (0, 1].

    Examples
    --------
    >>> pace = Pace(0.1)
    >>> pace.due()
    True
    >>> with pace.timed():
    ...     time.sleep(0.01)
    >>> pace.due()  # only after another 90 ms
    False
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._next = float("-inf")

    def due(self) -> bool:
        """Whether the chore is to be done now."""
        return time.monotonic() >= self._next

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Do the chore, and note what it takes."""
        started = time.monotonic()
        yield
        ended = time.monotonic()
        self._next = ended + (1 / self._share - 1) * (ended - started)
