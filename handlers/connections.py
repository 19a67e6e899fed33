"""Keep connections within limits that uvicorn lacks: slow and large heads, readers that stall."""

import asyncio
import logging
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

logger = logging.getLogger(__name__)

HEAD_BYTES = 64 << 10
_FLUSH_SECONDS = 10.0  # for a client to read the rest of the answer when its connection ends
_GOODBYE_SECONDS = 1.0  # for the end of TLS, once all is read
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
    asked = False
    """Whether the head of a request came, whole, since the connection was made."""
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
        self.asked = True
        super().on_headers_complete()


async def sweep(state: ServerState, within: float, every: float = 0.5) -> None:
    """End connections whose head does not come, or whose client does not read, for ever.

    Parameters
    ----------
    state : ServerState
        The connections of a uvicorn server.
    within : float
        Most seconds for a head.
    every : float
        Seconds between looks.
    """
    while True:
        await asyncio.sleep(every)
        now = time.monotonic()
        connections: set[Any] = set(state.connections)
        for each in connections:
            if isinstance(each, GuardedProtocol):
                _end_if_late(each, now, within)


def _end_if_late(connection: GuardedProtocol, now: float, within: float) -> None:
    if connection.transport.is_closing():
        connection.closing_since = connection.closing_since or now
        unread = connection.transport.get_write_buffer_size()
        patience = _FLUSH_SECONDS if unread else _GOODBYE_SECONDS
        if now - connection.closing_since > patience:
            connection.transport.abort()
    elif connection.head_since is not None and now - connection.head_since > within:
        connection.transport.close()
