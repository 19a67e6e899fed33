"""Folders that were sealed on purpose over what no command writes: refused in one line."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from ncf.artifacts import seal
from ncf.data.manifests import DATA
from ncf.data.options import Format, Options
from ncf.data.prepare import prepare
from ncf.data.tables import read_id_table, write_id_table
from ncf.identifiers import IdMap, read_id_maps, write_id_maps
from ncf.kinds import Kind, Manifest
from ncf.scoring.bundle import Bundle
from ncf.scoring.manifest import BUNDLE
from ncf.training.checkpoint import Checkpoint
from ncf.training.manifest import CHECKPOINT
from tests.bad_inputs.test_damaged_folders import edit_manifest
from tests.commands import refused

OF_CHECKPOINT = [
    "evaluate --checkpoint c --data data",
    "export --checkpoint c --data data --out new",
    "train --data data --model neumf-pre --gmf c --out new",
]
OF_DATA = [
    "train --data data --model gmf --out new",
    "evaluate --checkpoint c --data data",
    "export --checkpoint c --data data --out new",
]
OF_BUNDLE = [
    "batch --bundle store/ncf",
    "recommend --bundle store/ncf --user u1",
    "verify --bundle store/ncf",
]


class Trap:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("trapped"),))  # type: ignore[return-value]


@pytest.fixture
def home(data_folder: Path, checkpoint: Checkpoint, bundle: Bundle, tmp_path: Path) -> Path:
    """One of each."""
    (tmp_path / "store").mkdir()
    for name, source in {
        "data": data_folder,
        "c": checkpoint.path,
        "store/ncf": bundle.path,
    }.items():
        shutil.copytree(source, tmp_path / name)
    return tmp_path


def _reseal(folder: Path, kind: Kind[Manifest]) -> None:
    seal(folder, kind, json.loads((folder / kind.manifest).read_bytes()))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("command", OF_CHECKPOINT)
def test_weights_that_are_not_finite_are_refused(command: str, value: float, home: Path) -> None:
    path = home / "c" / "model.safetensors"
    weights = load_file(path)
    weights["gmf.item.weight"][3, 1] = value
    save_file(weights, path)
    _reseal(home / "c", CHECKPOINT)
    line = refused(*command.split(), cwd=home)
    problem = "weights 'gmf.item.weight' are not all finite float32 numbers; train again"
    assert f"c/model.safetensors: {problem}" in line


@pytest.mark.parametrize("command", OF_CHECKPOINT)
@pytest.mark.parametrize("where", ["file", "weights", "beside", "numpy"])
def test_a_pickle_is_refused_and_never_loaded(where: str, command: str, home: Path) -> None:
    if where == "file":
        shutil.rmtree(home / "c")
        torch.save(Trap(), home / "c")
    elif where == "weights":
        (home / "c" / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    elif where == "beside":
        torch.save(Trap(), home / "c" / "model.pt")
    else:
        np.save(home / "c" / "users.npy", np.array([Trap()]), allow_pickle=True)
    if where == "weights":
        _reseal(home / "c", CHECKPOINT)
    refused(*command.split(), cwd=home)
    assert not (home / "trapped").exists()


ARRAYS = [
    *(("data/test_negatives.npy", command) for command in OF_DATA),
    *(
        (f"store/ncf/{name}", command)
        for name in ("popular.npy", "users.npy", "ids.npz", "seen.npz")
        for command in OF_BUNDLE
    ),
]


@pytest.mark.parametrize(("name", "command"), ARRAYS)
def test_a_pickled_array_is_refused_and_never_loaded(name: str, command: str, home: Path) -> None:
    path = home / name
    if path.suffix == ".npz":
        arrays = dict(np.load(path))
        np.savez(path, **{**arrays, next(iter(arrays)): np.array([Trap()])})
    else:
        np.save(path, np.array([Trap()]), allow_pickle=True)
    _reseal(path.parent, DATA if path.parent.name == "data" else BUNDLE)
    refused(*command.split(), cwd=home)
    assert not (home / "trapped").exists()


@pytest.mark.parametrize("command", OF_CHECKPOINT[:2])
def test_a_checkpoint_of_other_data_is_refused_naming_both(
    command: str, home: Path, ratings_file: Path, checkpoint: Checkpoint
) -> None:
    shutil.rmtree(home / "data")
    prepare(ratings_file, Format.CSV, home / "data", Options(negatives=12, seed=9))
    digest = json.loads((home / "data" / "data.json").read_bytes())["digest"]
    trained = checkpoint.manifest.data.digest
    line = refused(*command.split(), cwd=home)
    assert f"c: trained on data {trained[:12]}, but given data {digest[:12]}; " in line


JUNK = [
    b"",
    b"junk",
    b"PAR1PAR1",
    b"PAR1\0\0\0\0PAR1",
    b"\x93NUMPY\1\0",
    b"PK\5\6" + b"\0" * 18,
    b"null",
]


@pytest.mark.parametrize(
    ("place", "kind", "commands"),
    [
        ("data", DATA, OF_DATA),
        ("c", CHECKPOINT, OF_CHECKPOINT[:2]),
        ("store/ncf", BUNDLE, ["verify --bundle store/ncf"]),
    ],
)
def test_junk_with_the_right_digest_is_one_line(
    place: str, kind: Kind[Manifest], commands: list[str], home: Path
) -> None:
    folder = home / place
    unread = {kind.manifest, "history.json", "MODEL_CARD.md"}
    for position, path in enumerate(sorted(folder.iterdir())):
        if path.name in unread:
            continue
        content = path.read_bytes()
        for turn, junk in enumerate(JUNK):
            path.write_bytes(junk)
            _reseal(folder, kind)
            command = commands[(position + turn) % len(commands)]
            if path.name == "learned.parquet":  # read by this one alone
                command = "train --data data --model gmf --warm-start c --out new"
            refused(*command.split(), cwd=home)
        path.write_bytes(content)
    _reseal(folder, kind)


@pytest.mark.parametrize(
    ("place", "kind", "command"),
    [("data", DATA, OF_DATA[1]), ("c", CHECKPOINT, OF_CHECKPOINT[0])],
)
@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_a_table_that_holds_an_id_twice_is_refused(
    place: str, kind: Kind[Manifest], command: str, column: str, home: Path
) -> None:
    table = home / place / f"{column.removesuffix('_id')}s.parquet"
    raw = read_id_table(table, column).raw
    write_id_table(table, IdMap([*raw[:-1], raw[0]]), column)
    _reseal(home / place, kind)
    assert "holds an id twice" in refused(*command.split(), cwd=home)


@pytest.mark.parametrize("command", OF_BUNDLE)
def test_a_bundle_that_holds_an_id_twice_is_refused(command: str, home: Path) -> None:
    path = home / "store/ncf/ids.npz"
    users, items = read_id_maps(path, ["users", "items"])
    raw = list(items.raw)
    write_id_maps(path, {"users": users, "items": IdMap([*raw[:-1], raw[0]])})
    _reseal(home / "store/ncf", BUNDLE)
    assert "do not fit together" in refused(*command.split(), cwd=home)


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, {"x": 1}, [[]], True, -1, 10**30])
def test_fields_of_other_types_with_the_right_digest_are_one_line(
    value: object, home: Path
) -> None:
    fields = {
        ("c", CHECKPOINT, "evaluate --checkpoint c --data data"): ["architecture", "data"],
        ("store/ncf", BUNDLE, "recommend --bundle store/ncf --user u1"): ["model", "cold_user"],
    }
    for (place, kind, command), names in fields.items():
        sealed = (home / place / kind.manifest).read_bytes()
        for name in names:
            edit_manifest(home / place, kind, **{name: value})
            refused(*command.split(), cwd=home)
            (home / place / kind.manifest).write_bytes(sealed)


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, True])
def test_files_of_other_types_with_the_right_digest_are_one_line(value: object, home: Path) -> None:
    for place, kind, command in (
        ("c", CHECKPOINT, OF_CHECKPOINT[0]),
        ("data", DATA, OF_DATA[0]),
        ("store/ncf", BUNDLE, OF_BUNDLE[1]),
    ):
        sealed = (home / place / kind.manifest).read_bytes()
        for files in (value, {"model.safetensors": value}):
            edit_manifest(home / place, kind, files=files)
            refused(*command.split(), cwd=home)
            (home / place / kind.manifest).write_bytes(sealed)
