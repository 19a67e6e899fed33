"""Keep connections within limits that uvicorn lacks: slow and large heads, readers that stall."""

import asyncio
import logging
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

logger = logging.getLogger(__name__)

HEAD_BYTES = 64 << 10
HEAD_SECONDS = 10.0
_FLUSH_SECONDS = 10.0  # for a client to read the rest of the answer when its connection ends
_BODY = b'{"error":{"code":"too_large","message":"the head has more than 64 KiB"}}'
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(_BODY), _BODY)
)


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also knows since when a head is coming and how long it is."""

    head_since: float | None = None
    """When the head of a request began to come; None between heads."""
    closing_since: float | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head: a client that sends nothing is waiting too."""
        self.head_since = time.monotonic()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Refuse a head that is too large."""
        if self.head_since is not None:
            # What came before this piece was all head; this one may end it.
            if self._head_bytes > HEAD_BYTES:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
                return
            self._head_bytes += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Note the time at which a head begins."""
        self.head_since = time.monotonic()
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that the head is whole."""
        self.head_since = None
        super().on_headers_complete()


async def sweep(state: ServerState, every: float = 1.0) -> None:
    """End connections whose head does not come, or whose client does not read, for ever.

    Parameters
    ----------
    state : ServerState
        The connections of a uvicorn server.
    every : float
        Seconds between looks.
    """
    while True:
        await asyncio.sleep(every)
        now = time.monotonic()
        connections: set[Any] = set(state.connections)
        for each in connections:
            if isinstance(each, GuardedProtocol):
                _end_if_late(each, now)


def _end_if_late(connection: GuardedProtocol, now: float) -> None:
    if connection.transport.is_closing():
        connection.closing_since = connection.closing_since or now
        if now - connection.closing_since > _FLUSH_SECONDS:
            connection.transport.abort()
    elif connection.head_since is not None and now - connection.head_since > HEAD_SECONDS:
        connection.transport.close()
