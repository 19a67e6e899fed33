"""A download is what was pinned, whole, or an error in one line."""

import hashlib
import re
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ncf.data.downloads import Digest, GitBlob, Sha256, download, download_wheel
from ncf.errors import SourceError, UnreachableError

CONTENT = bytes(range(256)) * 5000
PINNED = Sha256(hashlib.sha256(CONTENT).hexdigest())


class Server(ThreadingHTTPServer):
    """Serves :data:`CONTENT` under any path but ``/missing``; remembers every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []
        self.sent: list[int] = []
        self.knows_ranges = True
        self.breaks_after: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/data.zip"


class Handler(BaseHTTPRequestHandler):
    """Answers one request as the server's switches say."""

    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        start = 0
        if asked and self.server.knows_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if self.path == "/missing":
            self.send_error(404)
        elif start >= len(CONTENT):
            self.send_error(416)
        else:
            self._answer(start)

    def _answer(self, start: int) -> None:
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        end = self.server.breaks_after or len(CONTENT)
        self.server.sent.append(len(CONTENT[start:end]))
        self.wfile.write(CONTENT[start:end])  # if cut short, the connection closes all the same

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "parts" / "data.zip"


def part_of(target: Path, content: bytes) -> Path:
    part = target.with_name("data.zip.part")
    part.parent.mkdir()
    part.write_bytes(content)
    return part


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_whole_with_one_request(server: Server, target: Path) -> None:
    download(server.url, target, PINNED)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None]
    assert names(target.parent) == ["data.zip"]


@pytest.mark.parametrize("have", [1, 1000, len(CONTENT) - 1])
def test_a_broken_off_download_fetches_only_the_rest(
    server: Server, target: Path, have: int
) -> None:
    part_of(target, CONTENT[:have])
    download(server.url, target, PINNED)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [f"bytes={have}-"]
    assert server.sent == [len(CONTENT) - have]
    assert names(target.parent) == ["data.zip"]


def test_a_server_that_knows_no_ranges_sends_it_all_again(server: Server, target: Path) -> None:
    server.knows_ranges = False
    part_of(target, b"x" * 1000)
    download(server.url, target, PINNED)
    assert target.read_bytes() == CONTENT
    assert server.sent == [len(CONTENT)]


def test_a_part_that_is_whole_already_is_taken(server: Server, target: Path) -> None:
    part_of(target, CONTENT)
    download(server.url, target, PINNED)
    assert target.read_bytes() == CONTENT
    assert server.sent == []
    assert names(target.parent) == ["data.zip"]


def test_a_part_of_something_longer_is_thrown_away(server: Server, target: Path) -> None:
    part_of(target, CONTENT + b"more")
    with pytest.raises(SourceError, match="differs from its pinned checksum"):
        download(server.url, target, PINNED)
    assert names(target.parent) == []
    download(server.url, target, PINNED)
    assert target.read_bytes() == CONTENT


def test_a_connection_that_breaks_leaves_a_part_and_the_next_call_completes_it(
    server: Server, target: Path
) -> None:
    server.breaks_after = 1_200_000
    with pytest.raises(UnreachableError, match=re.escape(server.url)):
        download(server.url, target, PINNED)
    assert names(target.parent) == ["data.zip.part"]
    have = target.with_name("data.zip.part").read_bytes()
    assert have
    assert CONTENT.startswith(have)
    server.breaks_after = None
    download(server.url, target, PINNED)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={len(have)}-"]


def test_nothing_that_came_before_a_break_is_fetched_twice(server: Server, target: Path) -> None:
    """Else a line that breaks every few hundred kilobytes never gets to the end."""
    server.breaks_after = 300_000
    with pytest.raises(UnreachableError):
        download(server.url, target, PINNED)
    server.breaks_after = None
    download(server.url, target, PINNED)
    assert sum(server.sent) == len(CONTENT)


@pytest.mark.parametrize("part", [b"", b"not the beginning"])
def test_other_bytes_than_were_pinned_are_never_used(
    server: Server, target: Path, part: bytes
) -> None:
    part_of(target, part)
    wrong: Digest = PINNED if part else Sha256("0" * 64)
    with pytest.raises(SourceError, match=f"{server.url}: .*pinned checksum"):
        download(server.url, target, wrong)
    assert names(target.parent) == []


def test_a_file_that_is_not_there_is_an_error_with_the_status(server: Server, target: Path) -> None:
    address = server.url.replace("data.zip", "missing")
    with pytest.raises(SourceError, match=f"{address}: the server answered 404"):
        download(address, target, PINNED)
    assert names(target.parent) == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:{}/x", "ftp://127.0.0.1/x", "http://", "x"])
def test_an_address_that_leads_nowhere_is_an_error_in_one_line(
    server: Server, target: Path, address: str
) -> None:
    server.server_close()
    address = address.format(server.server_port)
    kind = UnreachableError if address.startswith("http://127") else SourceError
    with pytest.raises(kind) as caught:
        download(address, target, PINNED)
    assert str(caught.value).startswith(f"{address}: ")
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\r\n\x00\xff", b"x" * (1 << 20) + b"y"])
def test_the_id_of_a_blob_is_the_one_git_gives_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    command = ["git", "hash-object", "--no-filters", str(path)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    value = ended.stdout.strip()
    assert GitBlob(value).matches(path)
    path.write_bytes(content + b"\n")
    assert not GitBlob(value).matches(path)


def test_the_published_digests_of_hello_are_ours(tmp_path: Path) -> None:
    (tmp_path / "hello").write_bytes(b"hello\n")
    assert GitBlob("ce013625030ba8dba906f756967f9e9ca394464a").matches(tmp_path / "hello")
    published = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    assert Sha256(published).matches(tmp_path / "hello")


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only wheel that pip can see."""
    path = tmp_path / "index" / "tiny_data-1.0-py3-none-any.whl"
    path.parent.mkdir()
    about = "tiny_data-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tiny_data/x.inter", "user\titem\n")
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n")
        tag = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        file.writestr(f"{about}/WHEEL", tag)
        file.writestr(f"{about}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


def test_pip_fetches_a_wheel_from_where_it_is_set_to(wheel: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    found = download_wheel("tiny-data==1.0", digest, tmp_path / "out")
    assert found.parent == tmp_path / "out"
    assert found.read_bytes() == wheel.read_bytes()


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize("requirement", ["tiny-data==1.0", "tiny-data==2.0", "no-such-data==1.0"])
def test_a_wheel_that_is_another_or_missing_is_an_error_in_one_line(
    tmp_path: Path, requirement: str
) -> None:
    kind = SourceError if requirement == "tiny-data==1.0" else UnreachableError
    with pytest.raises(kind) as caught:
        download_wheel(requirement, "0" * 64, tmp_path / "out")
    message = str(caught.value)
    assert message.startswith(f"pip download {requirement}: ERROR: ")
    assert "\n" not in message
    assert not list(tmp_path.glob("out/*"))


def test_without_pip_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some virtual environments have no pip."""
    bare = tmp_path / "python"
    bare.write_text(f"#!/bin/sh\necho '{bare}: No module named pip' >&2\nexit 1\n")
    bare.chmod(0o755)
    monkeypatch.setattr("ncf.data.downloads.sys.executable", str(bare))
    with pytest.raises(UnreachableError, match="No module named pip"):
        download_wheel("tiny-data==1.0", "0" * 64, tmp_path)
