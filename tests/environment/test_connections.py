"""Loopback calls go through no proxy and heed no ``.netrc``; a token goes where it belongs."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ncf.connections import connect, is_loopback, through_proxy
from ncf.data.downloads import Sha256, download
from ncf.errors import CapabilityError, NcfError, UnreachableError
from ncf.serving.check import Client

PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class _Answers(BaseHTTPRequestHandler):
    """Notes what it is asked, and says no."""

    status = 503

    def _answer(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_CONNECT = _answer  # noqa: N815 - names that http.server gives

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A server, or a proxy, of ours."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.status = status
        self.asked: list[tuple[str, str | None]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(404) as started:
        yield started
        started.shutdown()


@pytest.fixture
def proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """A proxy that all variables name, and a ``.netrc`` for every host."""
    with Server(503) as started:
        for name in PROXIES:
            monkeypatch.setenv(getattr(request, "param", str.lower)(name), started.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        (tmp_path / ".netrc").write_text("default login someone password secret\n")
        (tmp_path / ".netrc").chmod(0o600)
        monkeypatch.setenv("HOME", str(tmp_path))
        yield started
        started.shutdown()


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "key_file.json"
    path.write_text('{"inference": {"key": "ours"}, "management": {"key": "ours"}}')
    return path


@pytest.mark.parametrize("proxy", [str.lower, str.upper], indirect=True)
def test_a_loopback_call_goes_straight_with_its_token(
    proxy: Server, server: Server, tokens: Path
) -> None:
    for address in (server.url, server.url.replace("127.0.0.1", "localhost")):
        with pytest.raises(CapabilityError, match="404"):
            Client(address, "ncf", tokens).predict("u1")
    assert proxy.asked == []
    assert server.asked == [("/predictions/ncf", "Bearer ours")] * 2


def test_without_a_token_nothing_of_netrc_is_sent(proxy: Server, server: Server) -> None:
    with pytest.raises(CapabilityError, match="404"):
        Client(server.url, "ncf", None).predict("u1")
    assert proxy.asked == []
    assert server.asked == [("/predictions/ncf", None)]


def test_another_machine_is_asked_through_the_proxy_which_a_message_names(
    proxy: Server, tokens: Path
) -> None:
    url = "http://far.invalid:8080"
    with pytest.raises(UnreachableError, match="503"):
        Client(url, "ncf", tokens).predict("u1")
    assert proxy.asked == [(f"{url}/predictions/ncf", "Bearer ours")]
    assert through_proxy(url) == " through the proxy of http_proxy"
    proxy.server_close()
    proxy.shutdown()
    with pytest.raises(UnreachableError, match="no answer through the proxy of http_proxy"):
        Client(url, "ncf", tokens).predict("u1")


def test_a_redirection_takes_no_token_elsewhere(server: Server, tokens: Path) -> None:
    server.status = 307
    with pytest.raises(CapabilityError, match="status 307"):
        Client(server.url, "ncf", tokens).predict("u1")
    assert len(server.asked) == 1


def test_a_fetch_sends_no_password_of_netrc_and_names_the_proxy(
    proxy: Server, tmp_path: Path
) -> None:
    with pytest.raises(NcfError, match="through the proxy of http_proxy"):
        download("http://far.invalid/ml.zip", tmp_path / "ml.zip", Sha256("0" * 64))
    assert {token for _, token in proxy.asked} == {None}


def test_a_fetch_names_a_proxy_that_is_no_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("https_proxy", "http://")
    with pytest.raises(NcfError, match="through the proxy of https_proxy"):
        download("https://far.invalid/ml.zip", tmp_path / "ml.zip", Sha256("0" * 64))


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://127.9.9.9", True),
        ("http://localhost:1/x", True),
        ("http://LOCALHOST.", True),
        ("http://[::1]:8080", True),
        ("http://localhost.example.org", False),
        ("http://10.0.0.1", False),
        ("http://127.0.0.1.example.org", False),
        ("http://", False),
        ("http://[nonsense", False),
    ],
)
def test_what_is_this_machine(url: str, *, own: bool) -> None:
    assert is_loopback(url) is own


def test_authorities_of_a_company_are_heeded_on_loopback_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/own.pem")
    assert connect("https://127.0.0.1").verify == "/etc/own.pem"
    assert connect("https://far.invalid").trust_env
