"""Whatever happens to a writer, readers find the old version or the new one, whole."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from subprocess import PIPE

import pytest

from ncf.errors import LockedError, NcfError, StorageError
from ncf.files import atomic_file, atomic_folder, storage_errors
from ncf.locks import reader_lock, removal_lock, writer_lock

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="uses Linux calls and signals")
SmallDisk = tuple[Path, tuple[str, ...]]
both = pytest.mark.parametrize("kind", ["file", "folder"])

# What every script below starts with: one way to write and read either kind.
_PRELUDE = """
import contextlib, json, os, resource, signal, subprocess, sys
from collections.abc import Callable
from pathlib import Path
from ncf import disks, files, locks
from ncf.errors import StorageError

target, kind = Path(sys.argv[1]), sys.argv[2]

place = target / "a" if kind == "folder" else target
writer = {"lock": locks.writer_lock, "file": files.atomic_file, "folder": files.atomic_folder}[kind]

def write(data, then=lambda: None):
    with writer(target) as aside:
        if kind == "file":
            aside.write(data)
        elif kind == "folder":
            (aside / "a").write_bytes(data)
        then()

def read():
    return place.read_text() if place.exists() else "nothing"

def leftovers():
    return [path.name for path in target.parent.iterdir() if path.name.endswith(".tmp")]
"""

_REFUSED = """
write(b"old")
{before}
try:
    write(b"n" * (1 << 20))
    message = "written"
except StorageError as error:
    message = str(error)
print(json.dumps([message, read(), leftovers()]))
"""

# Each round a child is killed just before its n-th file operation, and the next writer fails.
_KILLED_EVERYWHERE = """
{before}
def hook(event, arguments):
    global left
    left -= event == "open" or event.startswith(("os.", "shutil.", "ctypes."))
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

seen, killed = [], True
while killed:
    write(b"old")
    left = len(seen) + 1
    child = os.fork()
    if child == 0:
        sys.addaudithook(hook)
        write(b"new")
        os._exit(0)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    with contextlib.suppress(ZeroDivisionError):
        write(b"never seen", lambda: 1 / 0)
    seen.append(read())
print(json.dumps(seen))
"""

_WAIT = 'write(b"half", lambda: (print("ready", flush=True), sys.stdin.read()))'
_NO_EXCHANGE = "disks._exchange = lambda *paths: False"
_LIMIT = "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))"
_FREEZE = 'subprocess.run(["mount", "-o", "remount,ro", target.parent], check=True)'


def run(script: str, target: Path, kind: str, launcher: tuple[str, ...] = ()) -> list[object]:
    command = [*launcher, sys.executable, "-c", _PRELUDE + script, str(target), kind]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return list(json.loads(ended.stdout))


@contextmanager
def waiting(target: Path, kind: str) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of writing, killed at the end."""
    command = [sys.executable, "-c", _PRELUDE + _WAIT, str(target), kind]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as running:
        try:
            assert next(iter(running.stdout or ())) == "ready\n"
            yield running
        finally:
            running.kill()


@pytest.fixture
def small_disk(tmp_path: Path) -> SmallDisk:
    """A folder, and what starts a command that sees a disk of 256 KiB mounted there."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=256k none {disk} && exec "$0" "$@"'
    launcher = ("env", "unshare", "-r", "-m", "sh", "-c", mount)
    ended = subprocess.run([*launcher, "true"], capture_output=True, text=True, check=False)
    if ended.returncode:
        pytest.skip(f"cannot mount here: {ended.stderr.strip()}")
    return disk, launcher


def write(target: Path, version: str) -> None:
    with atomic_folder(target) as folder:
        (folder / "a").write_text(version)
        (folder / version).touch()


def tree(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("exchange", ["as it is", "missing"])
def test_new_content_is_visible_only_after_the_block(
    tmp_path: Path, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if exchange == "missing":
        monkeypatch.setattr("ncf.disks._exchange", lambda *_: False)
    with atomic_file(tmp_path / "new" / "file") as file:
        file.write(b"one")
        file.flush()
        assert not (tmp_path / "new" / "file").exists()
    write(tmp_path / "folder", "one")
    with atomic_folder(tmp_path / "folder") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "b").write_text("two")
        assert tree(tmp_path / "folder") == {"a": b"one", "one": b""}
    assert tree(tmp_path) == {"new/file": b"one", "folder/sub/b": b"two"}
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_exception_leaves_the_old_version_and_no_temporary(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    (tmp_path / "file").write_bytes(b"old\r\n\x00")
    write(tmp_path / "folder", "old")
    before = tree(tmp_path)
    for block in (atomic_file(tmp_path / "file"), atomic_folder(tmp_path / "folder")):
        with suppress(failure), block as aside:
            (aside / "a").write_text("half") if isinstance(aside, Path) else aside.write(b"half")
            raise failure
    assert tree(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@linux_only
@both
def test_a_killed_writer_leaves_the_old_version_and_the_next_one_sweeps(
    tmp_path: Path, kind: str
) -> None:
    target = tmp_path / "out"
    assert run('write(b"old"); print(json.dumps([read()]))', target, kind) == ["old"]
    with waiting(target, kind):
        pass
    assert run("print(json.dumps([read(), len(leftovers())]))", target, kind) == ["old", 1]
    next_writer = 'write(b"new"); print(json.dumps([read(), leftovers()]))'
    assert run(next_writer, target, kind) == ["new", []]


@linux_only
@pytest.mark.parametrize(
    ("kind", "before"), [("file", ""), ("folder", ""), ("folder", _NO_EXCHANGE)]
)
def test_a_kill_before_any_file_operation_leaves_one_whole_version(
    tmp_path: Path, kind: str, before: str
) -> None:
    seen = run(_KILLED_EVERYWHERE.format(before=before), tmp_path / "out", kind)
    assert (seen[0], seen[-1]) == ("old", "new")
    assert set(seen) == {"old", "new"}, seen


@pytest.mark.parametrize("name", ["out", "out[1]"])
def test_leftovers_of_dead_writers_are_swept_and_nothing_else(tmp_path: Path, name: str) -> None:
    (tmp_path / f".{name}.1.tmp" / "deep").mkdir(parents=True)
    (tmp_path / f".{name}.2.tmp").touch()
    kept = ["out.tmp", ".outer.1.tmp", ".out", "out.1.tmp", ".out1.1.tmp"]
    for neighbour in kept:
        (tmp_path / neighbour).touch()
    write(tmp_path / name, "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, name])


def test_a_live_writer_of_a_longer_name_is_not_swept(tmp_path: Path) -> None:
    """``ncf`` and ``ncf.mar`` lie side by side in a model store."""
    with atomic_file(tmp_path / "ncf.mar") as archive:
        archive.write(b"archive")
        write(tmp_path / "ncf", "bundle")
    assert (tmp_path / "ncf.mar").read_bytes() == b"archive"


@pytest.mark.parametrize("place", ["file/out", "."])
def test_a_place_where_no_folder_can_go_is_one_line(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("precious")
    with pytest.raises(NcfError):
        write(Path(place), "new")
    assert tree(tmp_path) == {"file": b"precious"}


@linux_only
def test_a_reader_never_misses_a_folder_that_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out"
    write(target, "0")
    missed, done = list[OSError](), threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                (target / "a").read_text()
            except OSError as error:
                missed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for version in range(1, 30):
        write(target, str(version))
    done.set()
    reader.join()
    assert not missed


@linux_only
def test_a_second_writer_is_refused_until_the_first_one_dies(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with waiting(target, "lock") as holder, writer_lock(tmp_path / "other"):
        for _ in range(2):  # being refused changes nothing
            with pytest.raises(LockedError, match=rf"out: .*pid {holder.pid} on "):
                writer_lock(target).__enter__()
    with suppress(KeyError), writer_lock(target):
        raise KeyError  # an exception frees it too
    with writer_lock(target), pytest.raises(LockedError, match=f"pid {os.getpid()}"):
        writer_lock(target).__enter__()


def test_a_writer_that_ends_while_another_is_refused_is_unknown_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(note: Path, *_: object, **__: object) -> str:
        note.unlink()
        raise FileNotFoundError(2, "No such file or directory", str(note))

    with writer_lock(tmp_path / "out"):
        monkeypatch.setattr(Path, "read_text", vanish)
        with pytest.raises(LockedError, match=r"pid unknown"):
            writer_lock(tmp_path / "out").__enter__()


@pytest.mark.parametrize("lock", [reader_lock, removal_lock])
@pytest.mark.parametrize("error", [BlockingIOError("a queue is full"), FileNotFoundError("gone")])
def test_an_error_under_a_lock_is_raised_as_it_is(
    lock: Callable[[Path], AbstractContextManager[bool]], error: OSError, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for file in (tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(OSError, match=str(error)) as caught, lock(file):
            raise error
        assert caught.value is error


@linux_only
def test_a_removal_is_refused_while_a_reader_holds_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with reader_lock(tmp_path / "file") as there, removal_lock(tmp_path / "file") as free:
        assert (there, free) == (True, False)
    with removal_lock(tmp_path / "file") as free:
        assert free


@linux_only
@both
@pytest.mark.parametrize("limit", [_LIMIT, ""])
def test_a_full_disk_is_an_error_that_names_the_place_and_the_space(
    tmp_path: Path, kind: str, limit: str, request: pytest.FixtureRequest
) -> None:
    disk, launcher = (tmp_path, ()) if limit else request.getfixturevalue("small_disk")
    message, *rest = run(_REFUSED.format(before=limit), disk / "out", kind, launcher)
    found = re.search(r"/out: no space left .*\(([\d,]+) bytes free\); \w+", str(message))
    assert found, message
    assert limit or int(found[1].replace(",", "")) <= 256 << 10
    assert rest == ["old", []]


@linux_only
@pytest.mark.parametrize("kind", ["file", "folder", "lock"])
def test_a_read_only_disk_is_an_error_that_names_the_place(
    small_disk: SmallDisk, kind: str
) -> None:
    disk, launcher = small_disk
    message, *rest = run(_REFUSED.format(before=_FREEZE), disk / "out", kind, launcher)
    assert "/out: cannot write here (Read-only file system); choose" in str(message)
    assert rest == ["nothing" if kind == "lock" else "old", []]


def test_an_input_that_may_not_be_read_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    denied = PermissionError(13, "Permission denied", "/inputs/ratings.csv")
    with pytest.raises(PermissionError, match=r"ratings\.csv"), atomic_folder(tmp_path / "out"):
        raise denied


@pytest.mark.parametrize(
    ("place", "concerned"),
    [
        ("topk", True),
        ("topk/run/part-0", True),
        (".topk.12.tmp/part-0", True),
        (".topk.12.old.tmp", True),
        (".topk.12.scratch.tmp/part-0", True),
        (".topk.lock.pid", True),
        (".topk.work/state", True),
        ("", True),
        ("topk-archive/part-0", False),
        ("topk.csv", False),
        (".topk.csv.12.tmp", False),
        ("other/topk", False),
        ("../topk", False),
    ],
)
def test_only_an_error_about_the_target_or_what_lies_aside_for_it_is_blamed_on_it(
    place: str, tmp_path: Path, *, concerned: bool
) -> None:
    denied = PermissionError(13, "Permission denied", os.path.normpath(tmp_path / place))
    expected = StorageError if concerned else PermissionError
    with pytest.raises(expected), storage_errors(tmp_path / "topk"):
        raise denied


def test_files_and_folders_are_written_where_flushing_is_that_of_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows opens no folder, and flushes no file that is open for reading alone."""
    readers, flushed = set[int](), list[int]()
    flush, open_any = os.fsync, os.open

    def refuse_folders(
        path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> int:
        if dir_fd is None and Path(path).is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        descriptor = open_any(path, flags, mode, dir_fd=dir_fd)
        (readers.discard if flags & os.O_RDWR else readers.add)(descriptor)
        return descriptor

    def refuse_readers(descriptor: int) -> None:
        if descriptor in readers:
            raise OSError(9, "Bad file descriptor")
        flushed.append(descriptor)
        flush(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        patch.setattr(os, "open", refuse_folders)
        patch.setattr(os, "fsync", refuse_readers)
        for content in ("old", "new"):
            write(tmp_path / "folder", content)
            with atomic_file(tmp_path / "file") as file:
                file.write(content.encode())
    assert (tmp_path / "folder" / "a").read_text() == "new"
    assert (tmp_path / "file").read_text() == "new"
    assert flushed
