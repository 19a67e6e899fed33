"""Read the body of an HTTP request within limits of bytes, memory and time."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from handlers.batching import GoneError
from handlers.limits import MAX_BODY

Receive = Callable[[], Awaitable[Any]]
_DISCARDED = 10 * MAX_BODY  # bytes read of a body that is refused, so that its client reads why
_DISCARDING = 5.0  # seconds


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Parameters
    ----------
    body : int
        Most bytes of a body.
    memory : int
        Most bytes of all bodies that are held at a time.
    sending : float
        Most seconds that a client may take to send a body.
    deadline : float
        Most seconds from a body that is read to its answer.
    queue : int
        Most requests that wait for an answer.
    batch : int
        Most requests that are scored together.
    remembered : int
        Most bytes that remembered answers take, about; 0 remembers none.
    """

    body: int = MAX_BODY
    memory: int = 64 << 20
    sending: float = 10.0
    deadline: float = 10.0
    queue: int = 1000
    batch: int = 64
    remembered: int = 16 << 20


class TooLargeError(Exception):
    """The body has more bytes than allowed."""


class TooSlowError(Exception):
    """The client took too long to send the body."""


class NoMemoryError(Exception):
    """The bodies of other requests take all the memory that they may."""


class Bodies:
    """Reads bodies, and counts the bytes that are held.

    Parameters
    ----------
    limits : Limits
        Limits of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held = 0
        """Bytes of bodies that are held now; give them back when a request is answered."""

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """Read a body; the caller subtracts its length from ``held`` when it is done with it.

        Raises
        ------
        TooLargeError, TooSlowError, NoMemoryError
            A limit is reached.
        GoneError
            The client has disconnected.
        """
        length = headers.get(b"content-length", b"")
        if length.isdigit() and (len(length) > 18 or int(length) > self._limits.body):
            raise TooLargeError
        message = await _soon(receive, self._limits.sending)
        return await self._collect(message, receive)

    async def _collect(self, message: Any, receive: Receive) -> bytes:  # noqa: ANN401 - of ASGI
        parts, size = [], 0
        ends = None
        try:
            while True:
                part = message.get("body", b"")
                size += len(part)
                self.held += len(part)
                self._check(message, size)
                parts.append(part)
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
                now = asyncio.get_running_loop().time()
                ends = ends or now + self._limits.sending
                message = await _soon(receive, ends - now)
        except BaseException:
            self.held -= size
            raise

    def _check(self, message: Any, size: int) -> None:  # noqa: ANN401 - of ASGI
        if message["type"] == "http.disconnect":
            raise GoneError
        if size > self._limits.body:
            raise TooLargeError
        if self.held > self._limits.memory:
            raise NoMemoryError


async def discard(receive: Receive) -> None:
    """Read on a while and keep nothing, so that a client that still sends gets to read."""
    read = 0
    try:
        async with asyncio.timeout(_DISCARDING):
            while read < _DISCARDED:
                message = await receive()
                read += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


async def _soon(receive: Receive, within: float) -> Any:  # noqa: ANN401 - of ASGI
    steps = receive().__await__()
    try:
        first = next(steps)
    except StopIteration as ended:  # it was here already, as nearly always: no timer is needed
        return ended.value
    try:
        async with asyncio.timeout(max(0.0, within)):
            return await _Begun(steps, first)
    except TimeoutError as error:
        raise TooSlowError from error


class _Begun:
    """An awaitable whose first step is done already."""

    def __init__(self, steps: Generator[Any, Any, Any], first: object) -> None:
        self._steps = steps
        self._first = first

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            yield self._first
        except BaseException as error:  # noqa: BLE001 - it goes on to where it waits
            try:
                then = self._steps.throw(error)
            except StopIteration as ended:
                return ended.value
            yield then
        return (yield from self._steps)
