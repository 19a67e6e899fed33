"""Bodies that are here already, come later, in pieces, or never."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from handlers.reading import Bodies, Limits, TooSlowError

_SENDING = 0.3  # seconds
Message = dict[str, Any]


def _read(receive: Callable[[], Awaitable[Message]]) -> tuple[bytes, int]:
    """Read a body; gives the bytes that are held too."""

    async def main() -> tuple[bytes, int]:
        bodies = Bodies(Limits(sending=_SENDING))
        try:
            return await bodies.read({}, receive), bodies.held
        except TooSlowError:
            assert bodies.held == 0
            raise

    return asyncio.run(main())


def _pieces(*pauses: list[float]) -> Callable[[], Awaitable[Message]]:
    """Receive a piece after each list of pauses."""
    left = list(pauses)

    async def receive() -> Message:
        for pause in left.pop(0):
            await asyncio.sleep(pause)
        return {"type": "http.request", "body": b"x", "more_body": bool(left)}

    return receive


@pytest.mark.parametrize("pauses", [[[]], [[], []], [[0.01]], [[0, 0.01, 0]], [[], [0.01], [0]]])
def test_a_body_is_read_however_it_comes(pauses: list[list[float]]) -> None:
    assert _read(_pieces(*pauses)) == (b"x" * len(pauses), len(pauses))


@pytest.mark.parametrize("pauses", [[[9]], [[0, 9]], [[], [9]], [[0.01], [0.2], [0.2], [0]]])
def test_a_body_that_does_not_come_in_time_is_refused(pauses: list[list[float]]) -> None:
    with pytest.raises(TooSlowError):
        _read(_pieces(*pauses))


def test_who_waits_for_a_body_is_told_that_it_was_given_up() -> None:
    told: list[str] = []

    async def receive() -> Message:
        try:
            await asyncio.sleep(9)
        except asyncio.CancelledError:
            told.append("cancelled")
            await asyncio.sleep(0.01)  # it may have to clean up
            told.append("cleaned up")
            raise
        return {}

    with pytest.raises(TooSlowError):
        _read(receive)
    assert told == ["cancelled", "cleaned up"]


def test_what_goes_wrong_with_a_body_is_raised() -> None:
    async def receive() -> Message:
        await asyncio.sleep(0)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        _read(receive)
