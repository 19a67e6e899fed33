"""Folders that cannot be renamed, and file systems that lack calls: written all the same."""

import errno
import fcntl
import logging
import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ncf import locks, volumes
from ncf.arrays import map_npy, map_npz, new_npy
from ncf.artifacts import open_sealed, seal, sealed_folder
from ncf.disks import fsync
from ncf.errors import ArtifactError, LockedError, StorageError
from ncf.files import atomic_file, remove_aside
from ncf.kinds import Kind, Manifest
from ncf.locks import reader_lock, removal_lock, writer_lock
from ncf.volumes import beside, is_mount
from tests.commands import ncf

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's mounts and locks")

MEMBERS = r"model\.safetensors|history\.json|training\.png|(users|items)\.parquet"
CHECKPOINT = Kind("checkpoint", "config.json", 1, "make it with 'ncf train'", Manifest, MEMBERS)
RATINGS = "user_id,item_id\n" + "".join(
    f"u{u},i{(u * 7 + n * n) % 30}\n" for u in range(20) for n in range(6)
)
PREPARE = ["data", "prepare", "--ratings", "ratings.csv", "--format", "csv"]
PREPARE += ["--negatives", "5", "--out"]

# A volume in a namespace of its own: what a container sees.
_IN_A_VOLUME = """
import os, sys
from pathlib import Path
from ncf.artifacts import open_sealed, seal, sealed_folder
from ncf.kinds import Kind, Manifest
from ncf.locks import writer_lock
from ncf.volumes import is_mount
CHECKPOINT = Kind("checkpoint", "config.json", 1, "", Manifest, "model.safetensors|training.png")
out = Path(sys.argv[1])
assert is_mount(out)
for version in ("one", "two"):
    with writer_lock(out), sealed_folder(out, CHECKPOINT) as folder:
        (folder / "model.safetensors").write_text(version)
        if version == "one":
            (folder / "training.png").touch()
        seal(folder, CHECKPOINT, {})
    open_sealed(out, CHECKPOINT)
print(sorted(path.name for path in out.iterdir()), (out / "model.safetensors").read_text())
"""


def write(out: Path, version: str, *names: str) -> None:
    with writer_lock(out), sealed_folder(out, CHECKPOINT) as folder:
        for name in ("model.safetensors", *names):
            (folder / name).write_text(version)
        seal(folder, CHECKPOINT, {})


def content(out: Path) -> dict[str, str]:
    open_sealed(out, CHECKPOINT)
    return {path.name: path.read_text() for path in out.iterdir() if path.name != "config.json"}


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that passes for a mount point: no rename replaces it, none comes from beside it."""
    out = tmp_path / "volume"
    out.mkdir()
    monkeypatch.setattr(volumes, "is_mount", lambda path: path == out)
    return out


def unshared(tmp_path: Path, mount: str) -> str:
    """Write twice, with something mounted as this says."""
    (tmp_path / "parent" / "out").mkdir(parents=True)
    script = f'cd {tmp_path} && {mount} && exec "$0" "$@"'
    launcher = ["unshare", "-r", "-m", "sh", "-c", script]
    if subprocess.run([*launcher, "true"], capture_output=True, check=False).returncode:
        pytest.skip("cannot mount here")
    command = [*launcher, sys.executable, "-c", _IN_A_VOLUME, "parent/out"]
    root = Path(__file__).parents[1]
    paths = {**os.environ, "PYTHONPATH": str(root)}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=paths)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize(
    "mount",
    [
        "mount -t tmpfs none parent/out",
        "mkdir -p x && mount --bind x parent/out",
        "mount --bind parent parent && mkdir -p x && mount --bind x parent/out "
        "&& mount -o remount,bind,ro parent",
    ],
    ids=["tmpfs", "bind of the same disk", "parent read-only"],
)
def test_a_volume_is_written_within(tmp_path: Path, mount: str) -> None:
    found = unshared(tmp_path, mount)
    assert found == "['.ncf.lock', 'config.json', 'model.safetensors'] two"


def test_a_writable_folder_under_a_parent_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, how: path != tmp_path and access(path, how))
    write(out, "one")
    write(out, "two")
    assert content(out) == {".ncf.lock": "", "model.safetensors": "two"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_names_of_mount_points_may_hold_blanks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("1 2 0:1 / /my\\040volume rw - tmpfs none rw\n")
    monkeypatch.setattr(volumes, "_MOUNTS", table)
    assert is_mount(Path("/my volume"))
    assert not is_mount(Path("/my"))
    monkeypatch.setattr(volumes, "_MOUNTS", tmp_path / "missing")
    assert not is_mount(tmp_path)


def test_old_files_go_and_what_others_keep_in_a_volume_stays(volume: Path) -> None:
    (volume / "lost+found").mkdir()
    (volume / ".DS_Store").touch()
    write(volume, "one", "training.png")
    write(volume, "two", "history.json")
    assert sorted(path.name for path in volume.iterdir()) == [
        *(".DS_Store", ".ncf.lock", "config.json", "history.json", "lost+found"),
        "model.safetensors",
    ]
    assert [path.name for path in volume.parent.iterdir()] == ["volume"]


def test_something_else_in_a_volume_is_refused_before_any_work(volume: Path) -> None:
    (volume / "thesis.tex").touch()
    with pytest.raises(StorageError, match=r"holds thesis\.tex, which is not part of a checkpoint"):
        write(volume, "one")


@pytest.mark.parametrize("dies_at", range(4))
def test_a_death_while_a_volume_is_filled_shows_and_the_next_writer_ends_it(
    volume: Path, dies_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(volume, "old", "training.png", "history.json")
    left, move = dies_at, volumes._move

    def dies(source: Path, target: Path) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        move(source, target)

    monkeypatch.setattr(volumes, "_move", dies)
    with pytest.raises(KeyboardInterrupt):
        write(volume, "new", "history.json", "users.parquet")
    with pytest.raises(ArtifactError, match=r"config\.json is missing"):
        open_sealed(volume, CHECKPOINT)
    monkeypatch.setattr(volumes, "_move", move)
    write(volume, "newer", "history.json")
    assert content(volume) == {
        ".ncf.lock": "",
        "history.json": "newer",
        "model.safetensors": "newer",
    }


def test_a_second_writer_of_a_volume_is_refused_and_leftovers_are_swept(volume: Path) -> None:
    (volume / ".ncf.4711.tmp").mkdir()
    (volume / ".ncf.4711.copy.tmp").touch()
    with writer_lock(volume), pytest.raises(LockedError, match=f"pid {os.getpid()}"):
        writer_lock(volume).__enter__()
    (beside(volume, "work") / "state").mkdir(parents=True)
    write(volume, "one")
    remove_aside(beside(volume, "work"), volume)
    assert content(volume) == {".ncf.lock": "", "model.safetensors": "one"}


def test_prepare_train_and_resume_in_volumes(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ratings.csv").write_text(RATINGS)
    (tmp_path / "few.toml").write_text("factors = 2\n[schedule]\nepochs = 1\n")
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setattr(volumes, "is_mount", lambda path: Path(path).absolute() in {volume, data})
    assert ncf(*PREPARE, "data", cwd=tmp_path).code == 0
    words = ["train", "--data", "data", "--model", "gmf", "--config", "few.toml", "--out", "volume"]
    for more in ([], ["--resume"]):
        ended = ncf(*words, *more, cwd=tmp_path)
        assert ended.code == 0, ended
    assert ncf(*PREPARE, "data", cwd=tmp_path).code == 0
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {"ratings.csv", "few.toml", "data", "volume"}
    assert {path.name for path in volume.glob(".*")} == {".ncf.lock"}


def test_a_folder_of_an_images_lower_layer_is_replaced_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename = tmp_path / "out", os.rename
    write(out, "baked in", "training.png")

    def overlay(source: Path, target: Path) -> None:
        if out in {Path(source), Path(target)}:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source, None, target)
        rename(source, target)

    monkeypatch.setattr(os, "rename", overlay)
    monkeypatch.setattr("ncf.disks._exchange", lambda *_: False)
    write(out, "new")
    assert content(out) == {"model.safetensors": "new"}


def test_files_of_another_disk_are_copied_and_then_renamed(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, replace = tmp_path / "new", os.replace
    (new / "1").mkdir(parents=True)
    (new / "1" / "model.onnx").write_text("graph")
    (new / "last").write_text("manifest")
    (volume / "1").mkdir()
    (volume / "1" / "old").touch()

    def apart(source: Path, target: Path) -> None:
        if Path(source).is_relative_to(new):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        replace(source, target)

    monkeypatch.setattr(os, "replace", apart)
    volumes.refill(volume, new, "last", "")
    found = {p.relative_to(volume).as_posix() for p in volume.rglob("*")}
    assert found == {"1", "1/model.onnx", "last"}


def test_without_an_exchange_a_swap_that_fails_puts_the_old_version_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename = tmp_path / "out", os.rename
    write(out, "old")

    def fails(source: Path, target: Path) -> None:
        if Path(target) == out and not str(source).endswith(".old.tmp"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails)
    monkeypatch.setattr("ncf.disks._exchange", lambda *_: False)
    with pytest.raises(OSError, match="Input/output"):
        write(out, "new")
    assert content(out) == {"model.safetensors": "old"}


def test_what_nfs_keeps_of_a_file_that_is_read_fails_no_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rmdir = tmp_path / "out", os.rmdir
    write(out, "old")

    def not_empty(path: Path, **options: int) -> None:
        if str(path).endswith(".old.tmp"):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
        rmdir(path, **options)

    monkeypatch.setattr("ncf.disks._exchange", lambda *_: False)
    with monkeypatch.context() as patched:
        patched.setattr(os, "rmdir", not_empty)
        for pid in (1, 2):
            patched.setattr(os, "getpid", lambda pid=pid: pid)
            write(out, f"new {pid}")
    assert content(out) == {"model.safetensors": "new 2"}
    write(out, "last")
    assert [path.name for path in tmp_path.iterdir() if path.name != ".out.lock"] == ["out"]


def test_a_link_to_a_folder_is_followed_and_stays(tmp_path: Path) -> None:
    write(tmp_path / "disk", "old")
    out = tmp_path / "out"
    out.symlink_to("disk")
    write(out, "new")
    assert out.is_symlink()
    assert content(tmp_path / "disk") == {"model.safetensors": "new"}
    with writer_lock(out), pytest.raises(LockedError):  # by either name it is the same
        writer_lock(tmp_path / "disk").__enter__()


def test_a_file_mounted_by_itself_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "best.toml").touch()
    monkeypatch.setattr("ncf.files.is_mount", lambda path: path.name == "best.toml")
    with (
        pytest.raises(StorageError, match=r"best\.toml: .* mounted by itself.*; mount its folder"),
        atomic_file(tmp_path / "best.toml"),
    ):
        raise AssertionError


@pytest.mark.parametrize("missing", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EROFS])
def test_no_fsync_of_folders_is_no_error(
    missing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(_: int) -> None:
        raise OSError(missing, os.strerror(missing))

    monkeypatch.setattr(os, "fsync", lacking)
    write(tmp_path / "out", "new")
    with atomic_file(tmp_path / "file") as file:
        file.write(b"new")
    assert content(tmp_path / "out") == {"model.safetensors": "new"}


def test_a_folder_that_nobody_may_open_is_not_flushed_and_a_broken_disk_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def forbidden(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        fsync(tmp_path)
    monkeypatch.setattr(os, "open", forbidden)
    fsync(tmp_path)
    with pytest.raises(PermissionError):
        fsync(tmp_path / "file")


@pytest.fixture(
    params=[errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL],
    ids=["Lustre", "FUSE", "NFS", "9p"],
)
def lockless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks; see ``errno`` of flock(2)."""

    def flock(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)
    locks._warn_of_no_locks.cache_clear()


@pytest.mark.usefixtures("lockless")
def test_without_locks_one_writes_many_read_and_one_line_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with writer_lock(tmp_path / "out"):
                dead = rf"pid {os.getpid()} .*if it is dead, remove .*\.out\.lock\.soft\)"
                with pytest.raises(LockedError, match=dead):
                    writer_lock(tmp_path / "out").__enter__()
            with reader_lock(tmp_path / "file") as there, removal_lock(tmp_path / "file") as free:
                assert (there, free) == (True, True)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("the file system has no locks (flock)")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_another_error_of_a_lock_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "file").touch()
    monkeypatch.setattr(fcntl, "flock", flock)
    for lock in (writer_lock, reader_lock):
        with pytest.raises(OSError, match="Input/output"):
            lock(tmp_path / "file").__enter__()


@pytest.mark.parametrize(
    "stray",
    [".DS_Store", "._model.safetensors", "Thumbs.db", "desktop.ini", ".nfs0000000a", ".directory"],
)
def test_what_file_managers_leave_is_no_part_of_a_folder(tmp_path: Path, stray: str) -> None:
    write(tmp_path / "out", "old")
    (tmp_path / "out" / stray).touch()
    open_sealed(tmp_path / "out", CHECKPOINT)
    write(tmp_path / "out", "new")  # goes with the old version
    assert content(tmp_path / "out") == {"model.safetensors": "new"}


def links_to_blobs(folder: Path) -> None:
    """As Hugging Face's cache: a folder of links into one of blobs."""
    blobs = folder.parent / "blobs"
    blobs.mkdir()
    for path in list(folder.iterdir()):
        path.rename(blobs / path.name)
        path.symlink_to(f"../blobs/{path.name}")


def linked_file(folder: Path) -> None:
    """As DVC links large files into its cache."""
    (folder / "model.safetensors").rename(folder.parent / "cached")
    (folder / "model.safetensors").symlink_to("../cached")


@pytest.mark.parametrize("link", [links_to_blobs, linked_file])
def test_a_folder_made_of_links_is_read_and_replaced_and_what_it_leads_to_stays(
    tmp_path: Path, link: Callable[[Path], None]
) -> None:
    write(tmp_path / "out", "new")
    link(tmp_path / "out")
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.parent.name == "blobs"}
    assert content(tmp_path / "out") == {"model.safetensors": "new"}
    write(tmp_path / "out", "newer")
    assert content(tmp_path / "out") == {"model.safetensors": "newer"}
    assert not any(path.is_symlink() for path in (tmp_path / "out").iterdir())
    assert all(path.read_bytes() == data for path, data in kept.items())


def test_other_bytes_behind_a_link_and_a_link_to_nothing_are_named(tmp_path: Path) -> None:
    write(tmp_path / "out", "new")
    linked_file(tmp_path / "out")
    (tmp_path / "cached").write_text("old")
    with pytest.raises(ArtifactError, match=r"model\.safetensors: bytes differ"):
        open_sealed(tmp_path / "out", CHECKPOINT)
    (tmp_path / "cached").unlink()
    with pytest.raises(ArtifactError, match="safetensors: is a link that leads to no file; fetch"):
        open_sealed(tmp_path / "out", CHECKPOINT)


def test_a_pipe_in_a_files_place_is_named_and_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path / "out", "new")
    (tmp_path / "out" / "model.safetensors").unlink()
    os.mkfifo(tmp_path / "out" / "model.safetensors")
    with pytest.raises(ArtifactError, match=r"model\.safetensors: is not a regular file"):
        open_sealed(tmp_path / "out", CHECKPOINT)


def test_a_disk_that_maps_no_file_is_read_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = np.arange(40_000).reshape(-1, 2)
    np.savez(tmp_path / "a.npz", large=wanted)

    def unmapped(*_: object, **__: object) -> None:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    mapped = new_npy(tmp_path / "mapped.npy", np.int64, wanted.shape)
    mapped[:] = wanted
    mapped.flush()
    monkeypatch.setattr(mmap, "mmap", unmapped)
    array = new_npy(tmp_path / "a.npy", np.int64, wanted.shape)
    array[:] = wanted
    array.flush()
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "mapped.npy").read_bytes()
    np.testing.assert_array_equal(map_npy(tmp_path / "a.npy"), wanted)
    np.testing.assert_array_equal(map_npz(tmp_path / "a.npz")["large"], wanted)


def test_a_disk_that_takes_no_space_beforehand_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", lacking)
    new_npy(tmp_path / "a.npy", np.int64, (3,)).flush()
    assert np.load(tmp_path / "a.npy").tolist() == [0, 0, 0]
