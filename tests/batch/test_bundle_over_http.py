"""A bundle behind an HTTP server: one that is not there, and a server that cannot say."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from batch.bundles import opened
from ncf.errors import ArtifactError, NcfError, StorageError, UnreachableError
from ncf.scoring.bundle import Bundle
from tests.commands import ncf


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of this test alone."""
    monkeypatch.setenv("NCF_CACHE", str(tmp_path / "cache"))


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Answer(BaseHTTPRequestHandler):
    status = 503

    def do_GET(self) -> None:
        """Answer with the status."""
        self.send_error(self.status)

    def do_HEAD(self) -> None:
        """Answer alike."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _served(handler: object) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:  # type: ignore[arg-type]
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_bundle_is_copied_from_a_server_that_has_it(bundle: Bundle) -> None:
    with _served(partial(_Files, directory=str(bundle.path.parent))) as address:
        assert opened(f"{address}/{bundle.path.name}").digest == bundle.digest
        with pytest.raises(ArtifactError, match=r"/other: not a bundle \(bundle.json is missing\)"):
            opened(f"{address}/other")


@pytest.mark.parametrize(
    ("status", "kind"), [(503, UnreachableError), (403, StorageError), (410, ArtifactError)]
)
def test_what_a_server_answers_decides_whether_to_try_again(
    status: int, kind: type[NcfError]
) -> None:
    handler = type("Handler", (_Answer,), {"status": status})
    with _served(handler) as address, pytest.raises(kind, match=f"{address}/ncf: "):
        opened(f"{address}/ncf")


def test_a_store_of_another_kind_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def info(_: object, path: str) -> None:
        raise FileNotFoundError(path) from RuntimeError("ResourceNotFound")

    monkeypatch.setattr(MemoryFileSystem, "info", info)
    with pytest.raises(ArtifactError, match="not a bundle"):
        opened("memory://store/ncf")


def test_a_server_that_is_down_may_be_tried_again(tmp_path: Path) -> None:
    with _served(_Answer) as address:
        pass
    ended = ncf("batch", "--bundle", f"{address}/ncf", "--out", "topk", cwd=tmp_path)
    assert ended.code == 75, ended
    (line,) = ended.err.strip().splitlines()
    assert "/ncf: cannot be read or written (Cannot connect to host" in line
    assert not (tmp_path / "topk").exists()
