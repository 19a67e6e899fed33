"""Exit codes tell a scheduler whether to run the same command again."""

import errno
from pathlib import Path

import pytest

from ncf import errors
from ncf.cli import app
from ncf.scoring.sessions import failed_on_cuda
from tests.commands import ncf, refused

CODES = {
    "UsageError": 2,
    "ConfigError": 2,
    "RatingsError": 2,
    "SourceError": 2,
    "UnreachableError": 75,
    "ArtifactError": 2,
    "RequestError": 2,
    "ParityError": 1,
    "CapabilityError": 2,
    "ServerError": 75,
    "LockedError": 75,
    "InterruptedWorkError": 130,
    "StorageError": 2,
    "FullDiskError": 75,
}
SYSTEM = {
    errno.ENOSPC: 75,
    errno.EDQUOT: 75,
    errno.ECONNREFUSED: 75,
    errno.ETIMEDOUT: 75,
    errno.ENETUNREACH: 75,
    errno.ESTALE: 75,
    errno.EACCES: 2,
    errno.EROFS: 2,
    errno.ENOENT: 2,
    errno.EIO: 2,
}


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_each_class_says_whether_to_try_again(name: str, code: int) -> None:
    assert getattr(errors, name).exit_code == code


def _fail(monkeypatch: pytest.MonkeyPatch, error: BaseException, folder: Path) -> int:
    def fails(_: object) -> int:
        raise error

    monkeypatch.setattr(app, "_run", fails)
    ended = ncf("doctor", cwd=folder)
    assert len(ended.err.splitlines()) == 1
    assert ended.err.startswith("ncf: ")
    return ended.code


@pytest.mark.parametrize(("number", "code"), SYSTEM.items())
def test_an_error_of_the_system_says_so_too(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert _fail(monkeypatch, OSError(number, "words", "file"), tmp_path) == code


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_a_command_ends_with_the_code_of_its_error(
    name: str, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    error = getattr(errors, name)("problem")
    assert _fail(monkeypatch, error, tmp_path) == code


def test_an_interruption_at_any_moment_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert _fail(monkeypatch, KeyboardInterrupt(), tmp_path) == 130


def test_a_server_that_is_not_there_may_come_and_a_mistyped_option_will_not(tmp_path: Path) -> None:
    refused("check", "http://127.0.0.1:1", "--user", "u1", cwd=tmp_path, code=75)
    refused("check", "nonsense", "--user", "u1", cwd=tmp_path)
    refused("check", "--nonsense", cwd=tmp_path)


def test_memory_of_a_gpu_may_be_free_another_time() -> None:
    assert failed_on_cuda(RuntimeError("CUDA error: out of memory"), 8).exit_code == 75
    assert failed_on_cuda(RuntimeError("an illegal access"), 8).exit_code == 2
