"""Clients of an HTTP server that cost little themselves: one thread, sockets and a poll."""

import json
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

_HOST = "127.0.0.1"


@dataclass
class _Client:
    connection: socket.socket
    sent: float = 0.0
    answer: bytes = b""


def bodies(users: Sequence[str], *, exact: bool = False, k: int = 10) -> list[bytes]:
    """Write a request for each user."""
    more = {"exact": True} if exact else {}
    return [json.dumps({"user": user, "k": k, **more}).encode() for user in users]


def load(
    port: int, clients: int, lasting: float, asked: Sequence[bytes], token: str | None
) -> list[float]:
    """Ask for that many seconds with as many clients, each for one list at a time.

    Returns
    -------
    list of float
        Seconds that each answer took, sorted.

    Raises
    ------
    SystemExit
        An answer is not 200.
    """
    requests = cycle(_request(body, token) for body in asked)
    seconds: list[float] = []
    with selectors.DefaultSelector() as poll:
        for _ in range(clients):
            connection = socket.create_connection((_HOST, port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = _Client(connection, time.perf_counter())
            poll.register(connection, selectors.EVENT_READ, client)
            connection.sendall(next(requests))
        until = time.perf_counter() + lasting
        while poll.get_map():
            for key, _ in poll.select(10):
                client = key.data
                client.answer += client.connection.recv(1 << 18)
                if not _whole(client.answer):
                    continue
                now = time.perf_counter()
                seconds.append(now - client.sent)
                if now < until:
                    client.sent, client.answer = now, b""
                    client.connection.sendall(next(requests))
                else:
                    poll.unregister(client.connection)
                    client.connection.close()
    return sorted(seconds)


def percentiles(seconds: Sequence[float], *shares: float) -> Iterator[float]:
    """Give percentiles of sorted seconds, in milliseconds."""
    for share in shares:
        yield 1000 * seconds[min(len(seconds) - 1, int(share * len(seconds)))]


def _request(body: bytes, token: str | None) -> bytes:
    lines = ["POST /predictions/ncf HTTP/1.1", f"Host: {_HOST}", "Content-Type: application/json"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def _whole(answer: bytes) -> bool:
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        if not answer:
            raise SystemExit("the server has closed a connection")
        return False
    head = answer[:end].lower()
    if not head.startswith(b"http/1.1 200"):
        raise SystemExit(answer[:500].decode(errors="replace"))
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    return len(answer) >= end + 4 + length
