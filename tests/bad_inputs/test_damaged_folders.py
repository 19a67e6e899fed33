"""Data, checkpoints, bundles and runs that were damaged, or made by a newer toolkit."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from batch.manifest import RUN
from ncf.artifacts import canonical_json
from ncf.data.manifests import DATA
from ncf.files import sha256_bytes
from ncf.kinds import Kind, Manifest
from ncf.scoring.bundle import Bundle
from ncf.scoring.manifest import BUNDLE
from ncf.training.checkpoint import Checkpoint
from ncf.training.manifest import CHECKPOINT
from tests.commands import done, refused

# Every command that reads a folder of each kind; the folders are data, c, store/ncf and topk/RUN.
READERS: dict[str, tuple[Kind[Manifest], list[str]]] = {
    "data": (
        DATA,
        [
            "train --data data --model gmf --out new",
            "evaluate --checkpoint c --data data",
            "export --checkpoint c --data data --out new",
            "export --checkpoint c --data data --out new --target triton",
        ],
    ),
    "c": (
        CHECKPOINT,
        [
            "evaluate --checkpoint c --data data",
            "export --checkpoint c --data data --out new",
            "export --checkpoint c --data data --out new --target triton",
            "train --data data --model neumf-pre --gmf c --out new",
        ],
    ),
    "store/ncf": (
        BUNDLE,
        [
            "batch --bundle store/ncf",
            "recommend --bundle store/ncf --user u1",
            "verify --bundle store/ncf",
            "verify --run topk --bundle store/ncf",
        ],
    ),
    "topk/RUN": (RUN, ["verify --run topk/RUN", "verify --run topk"]),
}
COMMANDS = [(place, command) for place, (_, commands) in READERS.items() for command in commands]


@pytest.fixture(scope="module")
def sound(
    data_folder: Path,
    checkpoint: Checkpoint,
    bundle: Bundle,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """One of each, and a table of the bundle."""
    home = tmp_path_factory.mktemp("sound")
    shutil.copytree(data_folder, home / "data")
    shutil.copytree(checkpoint.path, home / "c")
    shutil.copytree(bundle.path, home / "store" / "ncf")
    shutil.copyfile(bundle.path.with_suffix(".mar"), home / "store" / "ncf.mar")
    words = "batch --bundle store/ncf -k 3 --shard-users 15 --device cpu"
    done(*words.split(), cwd=home)
    return home


@pytest.fixture
def home(sound: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(sound, tmp_path / "home"))


def _folder(home: Path, place: str) -> Path:
    return home / _named(home, place)


def _named(home: Path, text: str) -> str:
    return text.replace("RUN", (home / "topk" / "LATEST").read_text().strip())


def _flip(path: Path, _: Path) -> None:
    content = bytearray(path.read_bytes() or b"\0")
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path, _: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] or b"x")


def _empty(path: Path, _: Path) -> None:
    path.write_bytes(b"" if path.stat().st_size else b"x")


def _swap(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def _remove(path: Path, _: Path) -> None:
    path.unlink()


def _link(path: Path, _: Path) -> None:
    """As a cache has it that lost the file."""
    path.unlink()
    path.symlink_to(path.parent.parent / "nowhere")


def _folder_instead(path: Path, _: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: list[Callable[[Path, Path], None]] = [
    *(_flip, _cut, _empty, _swap, _remove, _link, _folder_instead)
]


@pytest.mark.parametrize("place", READERS)
def test_whatever_is_done_to_whichever_file_its_name_is_given(
    place: str, sound: Path, tmp_path: Path
) -> None:
    commands = READERS[place][1]
    files = sorted(path.name for path in _folder(sound, place).iterdir())
    turn = 0
    for position, name in enumerate(files):
        # Each file meets each second damage; over the files every damage is met by every command.
        for damage in DAMAGES[position % 2 :: 2]:
            home = Path(shutil.copytree(sound, tmp_path / "home", symlinks=True))
            folder = _folder(home, place)
            damage(folder / name, folder / files[position - 1])
            words = _named(home, commands[turn % len(commands)]).split()
            line = refused(*words, cwd=home)
            assert name in line, (damage, words)
            turn += 1
            shutil.rmtree(home)


@pytest.mark.parametrize(("place", "command"), COMMANDS)
def test_a_file_too_many_is_named_by_every_command(place: str, command: str, home: Path) -> None:
    (_folder(home, place) / "notes.txt").write_text("x")
    line = refused(*_named(home, command).split(), cwd=home)
    assert f"notes.txt: file does not belong to the {READERS[place][0].noun}" in line


@pytest.mark.parametrize(("place", "command"), COMMANDS)
def test_a_newer_schema_is_refused_by_every_command_naming_both_versions(
    place: str, command: str, home: Path
) -> None:
    kind = READERS[place][0]
    edit_manifest(_folder(home, place), kind, schema_version=kind.schema_version + 1)
    line = refused(*_named(home, command).split(), cwd=home)
    version = kind.schema_version
    assert f"schema version {version + 1} is newer than this toolkit reads ({version})" in line
    assert "update the toolkit" in line


OUTSIDE = ["../x", "../data/data.json", "/etc/passwd", "a/../../x", "..\\x", "C:\\x", "..", "a\0b"]


@pytest.mark.parametrize(("place", "command"), COMMANDS)
def test_a_manifest_that_leaves_its_folder_is_refused_by_every_command(
    place: str, command: str, home: Path
) -> None:
    kind = READERS[place][0]
    folder = _folder(home, place)
    sealed = (folder / kind.manifest).read_bytes()
    for name in OUTSIDE:
        (folder / kind.manifest).write_bytes(sealed)
        files = json.loads(sealed)["files"]
        edit_manifest(folder, kind, files={**files, name: sha256_bytes(b"")})
        line = refused(*_named(home, command).split(), cwd=home)
        missing = "\0" in name
        assert ("is missing" if missing else "names a file outside its folder") in line
        assert line.isprintable()


@pytest.mark.parametrize(("place", "command"), COMMANDS)
def test_a_link_out_of_the_folder_needs_the_recorded_bytes_and_shows_none(
    place: str, command: str, home: Path
) -> None:
    kind, folder = READERS[place][0], _folder(home, place)
    secret = home / "secret"
    secret.write_text("token")
    (folder / "link").symlink_to(secret)
    files = json.loads((folder / kind.manifest).read_bytes())["files"]
    edit_manifest(folder, kind, files={**files, "link": sha256_bytes(b"a guess")})
    line = refused(*_named(home, command).split(), cwd=home)
    assert "link: bytes differ from the recorded SHA-256" in line
    assert "token" not in line
    (folder / "link").unlink()
    (folder / "link").symlink_to(home)
    assert "link: is a link that leads to no file" in refused(
        *_named(home, command).split(), cwd=home
    )


@pytest.mark.parametrize("place", READERS)
def test_a_folder_that_is_missing_is_named_with_the_command_that_makes_it(
    place: str, home: Path
) -> None:
    kind, commands = READERS[place]
    words = [_named(home, command) for command in commands]
    shutil.rmtree(_folder(home, place))
    for each in words:
        line = refused(*each.split(), cwd=home)
        assert f"not a {kind.noun} ({kind.manifest} is missing); {kind.remedy}" in line


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("batch --bundle store", "store: not a bundle (bundle.json is missing); give store/ncf,"),
        ("train --data . --out new", f"{DATA.manifest} is missing); give data,"),
    ],
)
def test_a_folder_around_the_one_that_is_wanted_says_so(
    command: str, said: str, home: Path
) -> None:
    line = refused(*command.split(), cwd=home)
    assert f"{said} which is one" in line


def test_show_names_a_damaged_part(home: Path) -> None:
    for damage in (_flip, _cut, _empty, _remove):
        part = _folder(home, "topk/RUN") / "part-00001.parquet"
        content = part.read_bytes()
        damage(part, part)
        line = refused("batch", "show", "--user", "u20", cwd=home)
        assert "part-00001.parquet" in line
        part.write_bytes(content)


@pytest.mark.parametrize(
    "content", [b"", b"20200101T000000Z-00000000\n", b"../../etc\n", b"\xff\0"]
)
def test_a_latest_that_names_no_run_is_one_line(content: bytes, home: Path) -> None:
    (home / "topk" / "LATEST").write_bytes(content)
    for words in ("batch show --user u1", "verify --run topk"):
        refused(*words.split(), cwd=home)


@pytest.mark.parametrize("damage", [_cut, _empty, _swap])
def test_a_damaged_archive_beside_its_bundle_is_named(
    damage: Callable[[Path, Path], None], home: Path
) -> None:
    damage(home / "store" / "ncf.mar", home / "store" / "ncf" / "score.onnx")
    line = refused("verify", "--bundle", "store/ncf", cwd=home)
    assert "ncf.mar: does not hold the bundle ncf beside it" in line


def test_a_damaged_model_is_found_out_before_it_is_run(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _flip(home / "store" / "ncf" / "MODEL_CARD.md", home)
    for module in ("ncf.scoring.exact", "export.verify"):
        for name in ("open_session", "open_cpu"):
            if hasattr(sys.modules.get(module), name):
                monkeypatch.setattr(f"{module}.{name}", lambda *_: pytest.fail("opened a graph"))
    for command in READERS["store/ncf"][1]:
        assert "MODEL_CARD.md" in refused(*command.split(), cwd=home)


def edit_manifest(folder: Path, kind: Kind[Manifest], **changes: object) -> None:
    """Change fields of a manifest, and seal it again as its writer would."""
    path = folder / kind.manifest
    document = json.loads(path.read_bytes()) | changes
    document.pop("digest")
    digest = sha256_bytes(canonical_json(document))
    path.write_bytes(canonical_json({**document, "digest": digest}))
