"""A sealed folder is exactly what was written, or it is refused by name."""

import json
import shutil
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncf.artifacts import canonical_json, open_sealed, read_manifest, seal, sealed_folder
from ncf.errors import ArtifactError, StorageError
from ncf.files import sha256_bytes
from ncf.kinds import Kind, Manifest

CONTENT = {"a.bin": b"first\x00", "sub/b.txt": "zweite é\n".encode(), "empty": b""}


@dataclass(frozen=True, kw_only=True)
class Facts(Manifest):
    kind: str
    titles: tuple[str | None, ...]
    rate: float
    sizes: Mapping[str, int]


CHECKPOINT = Kind("checkpoint", "config.json", 1, "make it with 'ncf train'", Facts)
BUNDLE = Kind("bundle", "bundle.json", 2, "make it with 'ncf export'", Facts)
DOCUMENT = {"kind": "neumf", "titles": ["Amélie", None], "rate": 0.25, "sizes": {"users": 3}}


def fill(folder: Path) -> Path:
    for name, data in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    seal(folder, CHECKPOINT, DOCUMENT)
    return folder


def reseal(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest and give it the digest that the change calls for."""
    path = folder / CHECKPOINT.manifest
    document = json.loads(path.read_bytes())
    del document["digest"]
    change(document)
    digest = sha256_bytes(canonical_json(document))
    path.write_bytes(canonical_json({**document, "digest": digest}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "sealed")


def make_folder_of(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_file_of(path: Path) -> None:
    shutil.rmtree(path)
    path.touch()


@pytest.fixture(scope="module")
def worn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that every example damages and puts right again."""
    return fill(tmp_path_factory.mktemp("worn"))


def test_what_was_sealed_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    digest = seal(tmp_path, BUNDLE, DOCUMENT)
    published = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    expected = Facts(
        kind="neumf",
        titles=("Amélie", None),
        rate=0.25,
        sizes={"users": 3},
        files={"a": published},
        digest=digest,
    )
    assert open_sealed(tmp_path, BUNDLE) == read_manifest(tmp_path, BUNDLE) == expected


def test_only_an_older_folder_of_the_same_kind_is_replaced(folder: Path) -> None:
    (folder / CHECKPOINT.manifest).write_text("damaged")
    with sealed_folder(folder, replace(CHECKPOINT, members=".*")) as aside:
        digest = seal(aside, CHECKPOINT, DOCUMENT)
    assert open_sealed(folder, CHECKPOINT).digest == digest


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "thesis.tex").touch(),
        lambda folder: (folder / "photos").symlink_to(folder.parent),
        lambda folder: (folder / CHECKPOINT.manifest).unlink(),
        lambda folder: (folder / CHECKPOINT.manifest).write_text('{"name": "another program\'s"}'),
        lambda folder: (folder / CHECKPOINT.manifest).write_text("// not JSON"),
        lambda folder: make_folder_of(folder / CHECKPOINT.manifest),
        lambda folder: folder.rename(folder.parent / "gone") and folder.symlink_to("nowhere"),
        make_file_of,
    ],
    ids=[
        "a file",
        "a link",
        "no manifest",
        "other manifest",
        "unreadable manifest",
        "a folder",
        "a link to nothing",
        "file",
    ],
)
def test_a_place_that_holds_something_else_is_refused_and_kept(
    folder: Path, change: Callable[[Path], object]
) -> None:
    change(folder)
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(StorageError, match=f"{folder}: .*; choose another"):
        sealed_folder(folder, CHECKPOINT).__enter__()
    assert sorted(folder.parent.rglob("*")) == before


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_byte_changed_added_or_cut_off_is_refused(
    worn_folder: Path, data: st.DataObject
) -> None:
    names = ["a.bin", "sub/b.txt", CHECKPOINT.manifest, CHECKPOINT.manifest, CHECKPOINT.manifest]
    path = worn_folder / data.draw(st.sampled_from(names))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    other = bytes([whole[place] ^ data.draw(st.integers(1, 255))])
    before, after = whole[:place], whole[place + 1 :]
    changes = [before + other + after, whole + other, before]
    try:
        path.write_bytes(data.draw(st.sampled_from([changes[0], *changes])))
        with pytest.raises(ArtifactError, match=path.name):
            open_sealed(worn_folder, CHECKPOINT)
    finally:
        path.write_bytes(whole)
    open_sealed(worn_folder, CHECKPOINT)


def swap(folder: Path) -> None:
    first, second = (folder / "a.bin").read_bytes(), (folder / "sub" / "b.txt").read_bytes()
    (folder / "a.bin").write_bytes(second)
    (folder / "sub" / "b.txt").write_bytes(first)


def link(folder: Path, name: str) -> None:
    """Put a link in a file's place that leads to the very same bytes."""
    elsewhere = folder.parent / "elsewhere"
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: (folder / "a.bin").write_bytes(b"firs"), "a.bin"),
        (lambda folder: (folder / "a.bin").write_bytes(b""), "a.bin"),
        (lambda folder: (folder / "empty").write_bytes(b"\n"), "empty"),
        (lambda folder: (folder / "sub" / "b.txt").unlink(), "sub/b.txt"),
        (lambda folder: make_folder_of(folder / "empty"), "empty"),
        (lambda folder: (folder / "extra").touch(), "extra"),
        (lambda folder: (folder / "sub" / ".hidden").touch(), "sub/.hidden"),
        (lambda folder: (folder / "extra").symlink_to(folder / "a.bin"), "extra"),
        (lambda folder: (folder / "extra").symlink_to("nowhere"), "extra"),
        (lambda folder: (folder / "extra").symlink_to(folder.parent), "extra"),
        (swap, "a.bin"),
        (lambda folder: link(folder, "sub"), "sub"),
        (lambda folder: (folder / "config.json").unlink(), "config.json"),
        (lambda folder: make_folder_of(folder / "config.json"), "config.json"),
    ],
)
def test_whatever_is_wrong_with_a_file_its_name_is_given(
    folder: Path, damage: Callable[[Path], object], named: str
) -> None:
    damage(folder)
    with pytest.raises(ArtifactError, match=f"{named}.*'ncf train'|{named}.*make the folder again"):
        open_sealed(folder, CHECKPOINT)


def test_a_file_below_that_is_called_like_the_manifest_is_guarded_too(folder: Path) -> None:
    (folder / "sub" / CHECKPOINT.manifest).write_text("anything")
    with pytest.raises(ArtifactError, match=f"sub/{CHECKPOINT.manifest}"):
        open_sealed(folder, CHECKPOINT)


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_where_there_is_no_folder_the_remedy_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match=f"{place}: not a bundle .*'ncf export'"):
        open_sealed(tmp_path / place, BUNDLE)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "sub/../../a", "..\\a", "C:\\a", "..", "a\\..\\b"]
)
def test_a_manifest_that_names_a_file_outside_its_folder_is_refused(
    folder: Path, name: str
) -> None:
    reseal(folder, lambda document: document["files"].update({name: "0" * 64}))
    with pytest.raises(ArtifactError, match="outside its folder") as caught:
        read_manifest(folder, CHECKPOINT)
    assert repr(name) in str(caught.value)


def test_a_newer_schema_is_refused_with_both_versions(folder: Path) -> None:
    reseal(folder, lambda document: document.update(schema_version=12, news={"x": 1}))
    with pytest.raises(ArtifactError, match=r"version 12 is newer .*\(1\); update the toolkit"):
        open_sealed(folder, CHECKPOINT)


def test_an_older_schema_is_refused_with_both_versions(folder: Path) -> None:
    reseal(folder, lambda document: document.update(schema_version=0))
    with pytest.raises(ArtifactError, match=r"version 0 is older .*\(1\); make the checkpoint"):
        open_sealed(folder, CHECKPOINT)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON",
        b"\xff\xfe{}",
        b"\x80\x04\x95.",
        b"[]",
        b"null",
        b'"schema_version"',
        b"{}",
        b'{"schema_version": 1}',
        b'{"schema_version": 1, "digest": ["x"]}',
        b'{"digest": "x", "files": {}}',
        b'{"schema_version": 1, "digest": "x", "files": {}, "loss": NaN}',
        b'{"schema_version": 1, "digest": "x", "files": {}, "loss": 1e999}',
        b'{"schema_version": 1, "digest": "x", "files": {}, "title": "\\ud800"}',
        b'{"schema_version": 1, "digest": "x", "files": {}, "n": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda content: f"{content[:60].decode('latin-1')}... of {len(content)} bytes",
)
def test_a_manifest_that_is_no_manifest_is_one_error(folder: Path, content: bytes) -> None:
    (folder / CHECKPOINT.manifest).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"config\.json: .*'ncf train'"):
        open_sealed(folder, CHECKPOINT)


def nested(depth: int) -> bytes:
    value = b'{"a": ' * depth + b"1" + b"}" * depth
    return b'{"schema_version": 1, "digest": "x", "files": %s}' % value


def too_deep(depth: int) -> bool:
    try:
        json.loads(nested(depth))
    except RecursionError:
        return True
    return False


def test_nesting_of_any_depth_is_one_error(folder: Path) -> None:
    """Near the interpreter's limit, reading may succeed where writing again does not."""
    limit = bisect_left(range(100_000), x=True, key=too_deep)
    for depth in (100, *range(limit - 8, limit + 2), 200_000):
        (folder / CHECKPOINT.manifest).write_bytes(nested(depth))
        with pytest.raises(ArtifactError):
            open_sealed(folder, CHECKPOINT)


@pytest.mark.parametrize(
    "files",
    ["missing", None, 7, "a.bin", ["a.bin"], [], [1], {"a.bin": 7}, {"a.bin": None}]
    + [{name: "0"} for name in ("", ".", "./a.bin", "sub//b.txt", "sub", "a.bin/", "a\0b")],
    ids=repr,
)
def test_a_manifest_whose_files_are_no_table_of_digests_by_name_is_one_error(
    folder: Path, files: object
) -> None:
    change = {"files": files} if files != "missing" else {}
    reseal(folder, lambda document: (document.pop("files"), document.update(change)))
    with pytest.raises(ArtifactError):
        open_sealed(folder, CHECKPOINT)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=5))
def test_canonical_json_does_not_depend_on_the_order_of_keys(document: dict[str, Any]) -> None:
    written = canonical_json(document)
    assert canonical_json(dict(reversed(document.items()))) == written
    assert canonical_json(json.loads(written)) == written
    assert json.loads(written) == document


def test_canonical_json_is_utf8_with_sorted_keys_and_refuses_nan() -> None:
    assert canonical_json({"b": "é", "a": {"d": 1, "c": None}}) == (
        '{\n  "a": {\n    "c": null,\n    "d": 1\n  },\n  "b": "é"\n}\n'.encode()
    )
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"loss": float("nan")})
