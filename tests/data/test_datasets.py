"""A data set comes from the first source that has it, once, and is what was pinned."""

import hashlib
import json
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ncf.artifacts import open_sealed
from ncf.data.datasets import DATASETS, fetch, open_dataset
from ncf.data.downloads import GitBlob, Sha256
from ncf.data.manifests import DATASET
from ncf.data.options import Format
from ncf.data.sources import Members, Source, TripleSource, WheelSource, ZipSource
from ncf.data.titles import grouplens_titles, read_titles, recbole_titles
from ncf.errors import ArtifactError, LockedError, SourceError, StorageError, UsageError
from ncf.locks import writer_lock

RATINGS = b"196\t242\t3\t881250949\n"
TRIPLE = {".train.rating": b"0\t1\t1\t2\n", ".test.rating": b"0\t2\t1\t3\n", ".test.negative": b"x"}
CLOSED = "http://127.0.0.1:9/"  # nobody listens there
LATIN = "1|Amélie, the film|01-Jan-1995|\n2|Léon|\n".encode("latin-1")
RECBOLE = b"item_id:token\ttitle:token_seq\tyear:token\tclass\n1\tToy Story\t1995\tx\n2\tun\t\tx\n"


class Server(ThreadingHTTPServer):
    """Serves what lies in ``content``; remembers every path that was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    """Whole files or 404."""

    server: Server

    def do_GET(self) -> None:
        name = self.path.removeprefix("/")
        self.server.asked.append(name)
        content = self.server.content.get(name)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

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


def archive(path: Path, members: Mapping[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path.read_bytes()


ZIPPED = Members(
    "ml/u.data", Format.MOVIELENS, "ml/u.item", partial(grouplens_titles, delimiter="|")
)


@pytest.fixture
def zipped(server: Server, tmp_path: Path) -> ZipSource:
    """A ZIP file on the server, with traps beside what is wanted."""
    traps = {"../u.data": b"trap", "other/u.data": b"trap", "/etc/ml/u.data": b"trap"}
    wanted = {"ml/u.data": RATINGS, "ml/u.item": LATIN}
    content = archive(tmp_path / "made.zip", {**traps, **wanted})
    server.content["ml.zip"] = content
    return ZipSource(f"{server.url}ml.zip", Sha256(hashlib.sha256(content).hexdigest()), ZIPPED)


@pytest.fixture
def triple(server: Server) -> TripleSource:
    digests = {}
    for suffix, data in TRIPLE.items():
        server.content[f"pin{suffix}"] = data
        blob = b"blob %d\0%s" % (len(data), data)
        digests[suffix] = GitBlob(hashlib.sha1(blob, usedforsecurity=False).hexdigest())
    return TripleSource(f"{server.url}pin", digests)


def nowhere(name: str = "gone.zip") -> ZipSource:
    return ZipSource(CLOSED + name, Sha256("0" * 64), ZIPPED)


def test_the_first_source_that_answers_serves(zipped: ZipSource, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    folder = fetch("ml", cache, {"ml": (nowhere(), zipped, nowhere("never.zip"))})
    found = open_dataset(folder)
    assert (found.name, found.file_format, found.source) == ("ml", Format.MOVIELENS, zipped.name)
    assert found.ratings.read_bytes() == RATINGS
    assert found.titles is not None
    assert read_titles(found.titles) == {"1": "Amélie, the film", "2": "Léon"}


def test_only_the_wanted_members_are_unpacked_and_nothing_is_left(
    zipped: ZipSource, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    fetch("ml", cache, {"ml": (zipped,)})
    visible = {path.relative_to(cache).as_posix() for path in cache.rglob("[!.]*")}
    assert visible == {"ml", "ml/u.data", "ml/titles.csv", "ml/dataset.json"}
    assert not list(cache.rglob("*.tmp"))


def test_what_was_fetched_is_not_fetched_again(
    server: Server, zipped: ZipSource, tmp_path: Path
) -> None:
    for _ in range(3):
        fetch("ml", tmp_path / "cache", {"ml": (zipped,)})
    assert server.asked == ["ml.zip"]


@pytest.mark.parametrize("name", ["u.data", "titles.csv", "dataset.json"])
@pytest.mark.parametrize("damage", [b"", b"damaged"])
def test_a_damaged_set_is_fetched_again(
    server: Server, zipped: ZipSource, tmp_path: Path, name: str, damage: bytes
) -> None:
    folder = fetch("ml", tmp_path / "cache", {"ml": (zipped,)})
    (folder / "u.data").unlink()
    (folder / name).write_bytes(damage)
    fetch("ml", tmp_path / "cache", {"ml": (zipped,)})
    assert open_dataset(folder).ratings.read_bytes() == RATINGS
    assert server.asked == ["ml.zip"] * 2


def test_a_set_without_its_manifest_may_be_anyones_and_is_kept(
    zipped: ZipSource, tmp_path: Path
) -> None:
    folder = fetch("ml", tmp_path / "cache", {"ml": (zipped,)})
    (folder / DATASET.manifest).unlink()
    with pytest.raises(StorageError, match=str(folder)):
        fetch("ml", tmp_path / "cache", {"ml": (zipped,)})
    assert (folder / "u.data").read_bytes() == RATINGS


def test_where_nothing_can_be_reached_one_line_names_every_source_and_the_way_out(
    server: Server, tmp_path: Path
) -> None:
    triple = TripleSource(f"{server.url}missing", {".train.rating": GitBlob("0" * 40)})
    sources: tuple[Source, ...] = (nowhere("a.zip"), triple, nowhere("b.zip"))
    with pytest.raises(SourceError, match="prepare a local file: `ratings`") as caught:
        fetch("ml", tmp_path / "cache", {"ml": sources})
    message = str(caught.value)
    for source in sources:
        assert source.name in message
    assert "404" in message
    assert "\n" not in message
    assert not (tmp_path / "cache" / "ml").exists()


def test_a_damaged_set_that_cannot_be_fetched_again_is_never_opened(
    zipped: ZipSource, tmp_path: Path
) -> None:
    folder = fetch("ml", tmp_path / "cache", {"ml": (zipped,)})
    (folder / "u.data").write_bytes(b"damaged")
    with pytest.raises(SourceError):
        fetch("ml", tmp_path / "cache", {"ml": (nowhere(),)})
    with pytest.raises(ArtifactError, match=r"u\.data"):
        open_dataset(folder)


def test_other_bytes_than_were_pinned_fall_through_to_the_next_source(
    server: Server, zipped: ZipSource, tmp_path: Path
) -> None:
    server.content["evil.zip"] = server.content["ml.zip"] + b"\0"
    evil = ZipSource(f"{server.url}evil.zip", zipped.digest, zipped.members)
    folder = fetch("ml", tmp_path / "cache", {"ml": (evil, zipped)})
    assert open_dataset(folder).source == zipped.name


@pytest.mark.parametrize("name", ["ml-2m", "", "../ml", "ML-100K"])
def test_an_unknown_name_lists_the_known_ones(tmp_path: Path, name: str) -> None:
    known = re.escape("known are ml-100k, ml-1m, pinterest-20")
    with pytest.raises(UsageError, match=f"{re.escape(repr(name))}; {known}"):
        fetch(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_two_fetches_of_one_set_do_not_meet(tmp_path: Path) -> None:
    with writer_lock(tmp_path / "ml"), pytest.raises(LockedError):
        fetch("ml", tmp_path, {"ml": (nowhere(),)})


def test_the_three_files_of_the_ncf_authors_lie_under_one_prefix(
    server: Server, triple: TripleSource, tmp_path: Path
) -> None:
    found = open_dataset(fetch("pin", tmp_path / "cache", {"pin": (triple,)}))
    assert (found.file_format, found.titles) == (Format.NCF, None)
    for suffix, data in TRIPLE.items():
        assert Path(f"{found.ratings}{suffix}").read_bytes() == data
    assert server.asked == [f"pin{suffix}" for suffix in TRIPLE]
    assert not (tmp_path / "cache" / "pin.parts").exists()


@pytest.mark.parametrize("damage", [None, b"damaged"])
def test_a_triple_that_broke_off_goes_on_with_checked_files(
    server: Server, triple: TripleSource, tmp_path: Path, damage: bytes | None
) -> None:
    last = server.content.pop("pin.test.negative")
    with pytest.raises(SourceError):
        fetch("pin", tmp_path, {"pin": (triple,)})
    if damage:
        (tmp_path / "pin.parts" / "pin.train.rating").write_bytes(damage)
    server.content["pin.test.negative"] = last
    found = open_dataset(fetch("pin", tmp_path, {"pin": (triple,)}))
    assert Path(f"{found.ratings}.train.rating").read_bytes() == TRIPLE[".train.rating"]
    assert server.asked.count("pin.train.rating") == (2 if damage else 1)


def test_a_wheel_can_carry_a_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index").mkdir()
    about = "tiny-1.0.dist-info"
    tag = b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    content = archive(
        tmp_path / "index" / "tiny-1.0-py3-none-any.whl",
        {
            "tiny/x.inter": RATINGS,
            "tiny/x.item": RECBOLE,
            f"{about}/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
            f"{about}/WHEEL": tag,
            f"{about}/RECORD": b"",
        },
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    wanted = Members("tiny/x.inter", Format.RECBOLE, "tiny/x.item", recbole_titles)
    digest = Sha256(hashlib.sha256(content).hexdigest())
    sources = (WheelSource("absent==1.0", digest, wanted), WheelSource("tiny==1.0", digest, wanted))
    found = open_dataset(fetch("tiny", tmp_path / "cache", {"tiny": sources}))
    assert (found.source, found.ratings.name) == ("pip download tiny==1.0", "x.inter")
    assert found.titles is not None
    assert read_titles(found.titles) == {"1": "Toy Story (1995)", "2": "un"}


def test_titles_of_movies_dat_lie_between_colons() -> None:
    content = "1::Toy Story (1995)::Animation\n2::Été: 1::2\n".encode("latin-1")
    assert grouplens_titles(content, "::") == {"1": "Toy Story (1995)", "2": "Été: 1"}


def test_the_real_sets_are_pinned_and_grouplens_comes_first() -> None:
    assert list(DATASETS) == ["ml-100k", "ml-1m", "pinterest-20"]
    first, second = DATASETS["ml-100k"]
    assert isinstance(first, ZipSource)
    assert isinstance(second, WheelSource)
    assert first.name == "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
    assert second.name == "pip download recbole==1.2.1"
    (large,) = DATASETS["ml-1m"]
    assert isinstance(large, ZipSource)
    assert [source.digest.value for source in (first, second, large)] == [
        "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    ]
    assert second.members.ratings == "recbole/dataset_example/ml-100k/ml-100k.inter"
    (pinterest,) = DATASETS["pinterest-20"]
    assert isinstance(pinterest, TripleSource)
    assert list(pinterest.digests) == list(TRIPLE)
    for digest in pinterest.digests.values():
        assert re.fullmatch("[0-9a-f]{40}", digest.value)


def test_the_manifest_of_a_set_says_where_it_came_from(zipped: ZipSource, tmp_path: Path) -> None:
    folder = fetch("ml", tmp_path / "cache", {"ml": (zipped,)})
    manifest = json.loads((folder / DATASET.manifest).read_text("utf-8"))
    assert manifest["source"] == open_sealed(folder, DATASET).source == zipped.name
