"""Clients that send nonsense, too much, too slowly or nothing: 4xx or an end, and it lives."""

import contextlib
import json
import shutil
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ncf.scoring.bundle import Bundle
from tests.serving.malformed import BODIES
from tests.serving.ours import TOKEN, Ours, serving_ours

pytestmark = pytest.mark.xdist_group("asgi")

_GOOD = b'{"user": "u3", "k": 2}'


@pytest.fixture(scope="module")
def ours(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    store = tmp_path_factory.mktemp("store")
    shutil.copytree(bundle.path, store / "ncf")
    with serving_ours(store, "--sending", "1") as server:
        pids = server.workers()
        yield server
        assert server.workers() == pids
        assert server.post(_GOOD).status_code == 200


def head(length: int | str, *lines: str, path: str = "/predictions/ncf") -> bytes:
    given = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {TOKEN}", *lines]
    return "\r\n".join([*given, f"Content-Length: {length}", "", ""]).encode()


def connect(ours: Ours) -> socket.socket:
    host, port = ours.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def said(connection: socket.socket, *, ends: bool = True) -> bytes:
    """Read until the server closes, or one answer is whole."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            found += part
            if not ends and b"}" in found:
                break
    return found


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("start", [b"", b"POST /predictions/ncf HT", head(5)[:-4]])
def test_a_head_that_does_not_come_ends_the_connection(ours: Ours, start: bytes) -> None:
    with connect(ours) as connection:
        connection.sendall(start)
        began = time.monotonic()
        assert said(connection) == b""
        assert 0.5 < time.monotonic() - began < 8


def test_a_head_that_drips_for_ever_ends_too(ours: Ours) -> None:
    with connect(ours) as connection:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /healthz HTTP/1.1\r\n")
            while time.monotonic() - began < 8:
                connection.sendall(b"X: y\r\n")
                time.sleep(0.1)
        assert time.monotonic() - began < 8


def test_half_a_body_is_refused_in_time_and_its_client_told(ours: Ours) -> None:
    with connect(ours) as connection:
        connection.sendall(head(len(_GOOD)) + _GOOD[:-3])
        assert status(said(connection)) == 408
    with connect(ours) as connection:  # and one who goes away
        connection.sendall(head(len(_GOOD)) + _GOOD[:-3])
        connection.shutdown(socket.SHUT_WR)
        assert said(connection) == b""


def test_too_large_a_head_or_body_is_refused(ours: Ours) -> None:
    with connect(ours) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /healthz HTTP/1.1\r\n")
            for number in range(4000):
                connection.sendall(f"X-{number}: {'y' * 1000}\r\n".encode())
        answer = said(connection)
        assert not answer or status(answer) == 431
    assert ours.post(b" " * 10_000_000).status_code == 413
    url, chunked = f"{ours.url}/predictions/ncf", (b" " * 100_000 for _ in range(100))
    assert ours.session.post(url, data=chunked, timeout=20).status_code == 413
    with connect(ours) as connection:
        connection.sendall(head("9" * 30))
        assert status(said(connection)) in {400, 413}


def test_pipelined_requests_are_answered_in_order(ours: Ours) -> None:
    bodies = [json.dumps({"user": f"u{n}", "k": 1}).encode() for n in range(40)]
    with connect(ours) as connection:
        connection.sendall(b"".join(head(len(body)) + body for body in bodies))
        found = b""
        while found.count(b'"model":"') < len(bodies):
            found += connection.recv(1 << 16)
    users = [part.split(b'"', 1)[0].decode() for part in found.split(b'{"user":"')[1:]]
    assert users == [f"u{n}" for n in range(40)]


def test_clients_that_vanish_leave_nothing(ours: Ours) -> None:
    for number in range(200):
        connection = connect(ours)
        connection.sendall(head(len(_GOOD)) + _GOOD[: number % (len(_GOOD) + 1)])
        if number % 2:  # a reset in place of an end
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    assert ours.post(_GOOD).status_code == 200


_TEXT = st.binary(max_size=30)
_LINES = st.lists(
    st.one_of(
        _TEXT,
        st.sampled_from(
            [
                b"Transfer-Encoding: chunked",
                b"Transfer-Encoding: chunked, identity",
                b"Content-Length: 5",
                b"Content-Length: -1",
                b"Content-Length: 99999999999999999999",
                b"Connection: close",
                b"Connection: upgrade\r\nUpgrade: websocket",
                b"Expect: 100-continue",
                b"Content-Type: multipart/form-data; boundary=",
                b"Inference-Header-Content-Length: 9",
                b"Content-Encoding: gzip",
                b"Authorization: Bearer " + TOKEN.encode(),
            ]
        ),
    ),
    max_size=6,
)
_RAW = st.builds(
    lambda start, lines, body: b"\r\n".join([start, *lines, b"", body]),
    st.one_of(
        _TEXT,
        st.sampled_from(
            [
                b"POST /predictions/ncf HTTP/1.1",
                b"POST /v2/models/ncf/infer HTTP/1.1",
                b"GET /../../etc/passwd HTTP/1.1",
                b"PUT /reload HTTP/1.1",
                b"POST http://x/predictions/ncf HTTP/1.0",
                b"OPTIONS * HTTP/1.1",
                b"CONNECT x:1 HTTP/1.1",
                b"POST /predictions/%ff HTTP/1.1",
                b"PRI * HTTP/2.0",
                b"POST /predictions/ncf HTTP/9.9",
            ]
        ),
    ),
    _LINES,
    st.binary(max_size=40) | BODIES.map(lambda each: each[0]),
)


def _survives(ours: Ours, raw: bytes) -> None:
    with connect(ours) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
        answer = said(connection)
    # It ends, or says what is wrong with the request; 501 and 505 are of HTTP itself.
    assert not answer or 400 <= status(answer) < 500 or answer.startswith(b"HTTP/1.1 100"), (
        raw,
        answer,
    )


def _all_survive(ours: Ours, raws: list[bytes]) -> None:
    with ThreadPoolExecutor(16) as clients:
        list(clients.map(lambda raw: _survives(ours, raw), raws))


def _drawn(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@_drawn(10)
@given(raws=st.lists(_RAW, min_size=40, max_size=40))
def test_drawn_bytes_are_answered_with_4xx_or_an_end(ours: Ours, raws: list[bytes]) -> None:
    _all_survive(ours, raws)


@pytest.mark.slow
@_drawn(250)
@given(raws=st.lists(_RAW, min_size=40, max_size=40))
def test_ten_thousand_drawn_requests(ours: Ours, raws: list[bytes]) -> None:
    _all_survive(ours, raws)


def test_drawn_bodies_are_refused_among_good_ones(ours: Ours) -> None:
    found: list[tuple[bytes, str]] = []

    @settings(max_examples=200, deadline=None, phases=[Phase.generate], database=None)
    @given(BODIES)
    def draw(each: tuple[bytes, str]) -> None:
        found.append(each)

    draw()
    mixed = [each for bad in found for each in (bad, (_GOOD, "application/json"))]
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda each: ours.post(*each).status_code, mixed))
    assert answers == [400, 200] * len(found)
