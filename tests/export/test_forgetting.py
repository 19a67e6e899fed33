"""A person leaves everything that can be made without a training, and nobody else notices."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import ncf
from batch.published import read_run
from export.verify import verify_bundle
from ncf.api import forgetting
from ncf.errors import UsageError
from ncf.locks import writer_lock
from ncf.scoring.bundle import Bundle, open_bundle
from tests.commands import ncf as command

USER, OTHER = "u17", "u1"  # the id of the one is the beginning of the other's


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of copies of this test alone."""
    monkeypatch.setenv("NCF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bundles"


@pytest.fixture
def store(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the bundle, with its archive, in a store of this test."""
    shutil.copytree(bundle.path, tmp_path / "store" / "ncf")
    shutil.copyfile(bundle.path.with_name("ncf.mar"), tmp_path / "store" / "ncf.mar")
    return tmp_path / "store"


def test_a_bundle_without_a_user_gives_all_others_their_lists(
    store: Path, bundle: Bundle, tmp_path: Path
) -> None:
    index = bundle.users.index(USER)
    assert index is not None
    before = read_run(Path(ncf.batch(bundle.path, out=tmp_path / "a", k=5).table))
    (found,) = ncf.forget(USER, bundle=store / "ncf", remove=True)
    assert found.removed
    opened = open_bundle(store / "ncf")
    assert (opened.n_users, opened.users.index(USER)) == (39, None)
    verify_bundle(opened.path)
    after = read_run(Path(ncf.batch(opened.path, out=tmp_path / "b", k=5).table))
    others = before[before.user_id != USER]
    pd.testing.assert_frame_equal(others.reset_index(drop=True), after.reset_index(drop=True))
    row = bundle.user_rows[index].tobytes()
    for path in (*opened.path.iterdir(), store / "ncf.mar"):
        content = path.read_bytes()
        assert row not in content, path
        assert f'"{USER}"'.encode() not in content, path
    assert OTHER in opened.users.raw
    assert ncf.forget(USER, bundle=store / "ncf") == []


def test_the_command_lists_holders_then_removes_what_takes_no_training(
    store: Path, data_folder: Path, tmp_path: Path
) -> None:
    target = f"delta://{tmp_path / 'lists'}"
    old, new = (
        ncf.batch(store / "ncf", out=tmp_path / "topk", k=k, shard_users=15) for k in (3, 4)
    )
    ncf.push(target, old)
    words = ["forget", "--user", USER, "--bundle", str(store / "ncf"), "--data", str(data_folder)]
    words += ["--to", target, "--out", str(tmp_path / "topk"), "--json"]
    listed = json.loads(command(*words, cwd=tmp_path).out)["holders"]
    kinds = [each["holder"].split()[0] for each in listed]
    assert kinds == ["target", "bundle", "run", "run", "data"]
    assert not any(each["removed"] for each in listed)
    assert Path(old.table).exists()
    removed = json.loads(command(*words, "--remove", cwd=tmp_path).out)["holders"]
    assert [each["removed"] for each in removed] == [True, True, True, False, False]
    assert "until the next batch" in removed[3]["left"]
    assert not Path(old.table).exists()
    assert Path(new.table).exists()
    ncf.batch(store / "ncf", out=tmp_path / "topk", k=4, keep=1)
    left = command(*words[:-1], cwd=tmp_path).out
    assert "data" in left
    assert "run" not in left.replace("runs", "")
    again = ncf.push(target, tmp_path / "topk")
    assert again["pushed"]
    assert ncf.push_status(target)["users"] == 39


def test_copies_of_bundles_behind_uris_are_found_and_removed(
    store: Path, cache: Path, tmp_path: Path
) -> None:
    uri = f"file://{store / 'ncf'}"
    ncf.batch(uri, out=tmp_path / "a", k=3)
    (copy,) = (each for each in cache.iterdir() if not each.name.startswith("."))
    (cache / ("0" * 64)).mkdir()  # a copy that was damaged
    for name in (f".{'1' * 64}.99999999.tmp", f".{copy.name}.99999999.tmp"):  # that ended early
        (cache / name).mkdir()
    (cache / "notes").mkdir()  # no copy
    listed = ncf.forget(USER, out=tmp_path / "a")
    held = {each.holder.removeprefix(f"copy {cache}/"): each.holds for each in listed[:-1]}
    assert held.pop(copy.name).startswith("id, row, embedding and")
    assert set(held) == {"0" * 64, "1" * 64}
    assert all("cannot be read" in holds for holds in held.values())
    assert not any(each.removed for each in listed)
    assert len(ncf.forget("nobody", out=tmp_path / "a")) == 2  # those that cannot be read
    removed = ncf.forget(USER, out=tmp_path / "a", remove=True)
    assert [each.removed for each in removed] == [True, True, True, False]
    assert all("behind its URI stays" in each.left for each in removed[:-1])
    assert {each.name for each in cache.iterdir() if not each.name.startswith(".")} == {"notes"}
    ncf.batch(uri, out=tmp_path / "b", k=3)  # copied once more
    assert copy.is_dir()


def test_a_copy_that_is_being_made_stays_and_one_that_goes_meanwhile_is_gone(
    store: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, gone = cache / ("0" * 64), cache / ("1" * 64)
    for copy in (made, gone):
        copy.mkdir(parents=True)

    def opening(path: Path) -> Bundle:
        if path == gone:
            shutil.rmtree(path)
        return open_bundle(path)

    monkeypatch.setattr(forgetting, "open_bundle", opening)
    with writer_lock(made):
        found, bundle = ncf.forget(USER, bundle=store / "ncf", remove=True)[::-1]
    assert (bundle.removed, found.removed) == (True, False)
    assert found.holder == f"copy {made}"
    assert "another process is making it" in found.left
    assert made.is_dir()


def test_a_checkpoint_keeps_the_person_until_a_training(
    checkpoint_folder: Path, tmp_path: Path
) -> None:
    (found,) = ncf.forget(USER, checkpoint=checkpoint_folder, remove=True)
    assert (found.removed, found.holds) == (False, "id and embeddings")
    assert "training" in found.left
    assert (
        "holds this user"
        in command(
            "forget", "--user", "nobody", "--checkpoint", checkpoint_folder, cwd=tmp_path
        ).out
    )


@pytest.fixture
def checkpoint_folder(checkpoint: object) -> Path:
    return Path(getattr(checkpoint, "path"))  # noqa: B009


def test_nothing_to_look_into_is_an_error() -> None:
    with pytest.raises(UsageError, match="nothing to look into"):
        ncf.forget(USER)


def test_a_screened_bundle_stays_screened(screened_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(screened_bundle.path, tmp_path / "store" / "wide")
    ncf.forget("u5", bundle=tmp_path / "store" / "wide", remove=True)
    opened = open_bundle(tmp_path / "store" / "wide")
    assert opened.n_users == 239
    verify_bundle(opened.path)
