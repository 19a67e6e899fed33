"""Archives on disks that lack calls: hard links, modes and times of folders, times after 1980."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from export.archive import write_archive
from ncf.scoring.bundle import Bundle


def _archive(bundle: Bundle, scratch: Path) -> bytes:
    scratch.mkdir()
    with (scratch / "ready").open("wb") as file:
        write_archive(bundle.path, "ncf", "1.0", scratch, file)
    return (scratch / "ready").read_bytes()


def test_an_archive_has_the_same_bytes_on_a_disk_that_lacks_calls(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _archive(bundle, tmp_path / "first")

    def lacking(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    def copied_in_1970(source: Path, target: Path) -> None:
        target.write_bytes(Path(source).read_bytes())
        os.utime(target, (0, 0))

    for name in ("link", "chmod"):
        monkeypatch.setattr(os, name, lacking)
    monkeypatch.setattr(shutil, "copystat", lacking)
    monkeypatch.setattr(shutil, "copyfile", copied_in_1970)
    assert _archive(bundle, tmp_path / "second") == expected
