"""Somebody's ``batch.py``, ``export.py`` or ``handlers``: on the path, or where a command runs."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ncf.packages import NAMES
from ncf.scoring.bundle import Bundle
from ncf.training.checkpoint import Checkpoint

ROOT = Path(__file__).parents[2]
SCRIPT = "from ncf.cli import main; main()"
STARTS = {
    "the command": [sys.executable, "-P", "-c", SCRIPT],
    "python -m ncf": [sys.executable, "-m", "ncf"],
}


@pytest.fixture(params=["module", "package", "folder"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A project with files of all three names, each of which says so when it is run."""
    folder = tmp_path / "project"
    for name in NAMES:
        own = folder / name
        if request.param == "module":
            folder.mkdir(exist_ok=True)
            own.with_suffix(".py").write_text("print('nightly job')\n")
        else:
            own.mkdir(parents=True)
            init = "__init__.py" if request.param == "package" else "notes.txt"
            (own / init).write_text("print('nightly job')\n")
    return folder


def _run(words: list[str], project: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        words, cwd=project, env=environment, capture_output=True, text=True, check=False
    )


# What stands in the way, where it is found, and how the command is started: each with each for a
# module; a package and a folder are found in the same way.
WAYS = [
    *(("module", path, start) for path in ("", ".") for start in STARTS),
    ("package", ".", "the command"),
    ("folder", ".", "python -m ncf"),
]


@pytest.mark.parametrize(("project", "path", "start"), WAYS, indirect=["project"])
def test_a_command_finds_its_own_packages(
    start: str, path: str, project: Path, bundle: Bundle
) -> None:
    words = ["batch", "--bundle", str(bundle.path), "--out", "topk", "-k", "3"]
    ended = _run([*STARTS[start], *words], project, path)
    assert ended.returncode == 0, ended.stderr
    assert "nightly job" not in ended.stdout + ended.stderr
    assert (project / "topk" / "LATEST").exists()
    verified = _run([*STARTS[start], "verify", "--bundle", str(bundle.path)], project, path)
    assert verified.returncode == 0, verified.stderr


@pytest.mark.parametrize("project", ["module"], indirect=True)
def test_export_carries_its_own_handlers(
    project: Path, data_folder: Path, checkpoint: Checkpoint
) -> None:
    words = ["export", "--checkpoint", str(checkpoint.path), "--data", str(data_folder)]
    words += ["--out", "store"]
    ended = _run([*STARTS["the command"], *words], project, ".")
    assert ended.returncode == 0, ended.stderr
    assert "nightly job" not in ended.stdout + ended.stderr
    assert (project / "store" / "ncf.mar").exists()


@pytest.mark.parametrize("project", ["module"], indirect=True)
def test_torchrun_starts_the_command_where_a_batch_py_is(project: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python"]
    command = shutil.which("ncf", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("the command is not installed beside this Python")
    ended = _run([*torchrun, "--nproc-per-node", "2", command, "train", "--help"], project, ".")
    assert ended.returncode == 0, ended.stderr
    assert "nightly job" not in ended.stdout + ended.stderr


def test_a_program_that_imports_ncf_keeps_its_own_and_is_told_in_one_line(project: Path) -> None:
    program = """
import sys, ncf
ncf.Bundle  # needs none of the three
for name in ("batch", "export", "read_latest"):
    try:
        getattr(ncf, name)
    except ncf.errors.UsageError as error:
        print(error)
"""
    ended = _run([sys.executable, "-c", f"import ncf.errors{program}"], project, str(ROOT))
    if (project / "batch" / "notes.txt").exists():  # a folder without code comes after a package
        assert ended.returncode == 0, ended.stderr
        return
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert len(lines) == 3, ended
    for line, name in zip(lines, ("batch", "export", "batch"), strict=True):
        assert str(project / name) in line
        assert f"in the way of the toolkit's package {name!r}; rename it" in line


_SERVED = """
import sys
from pathlib import Path
from unittest import mock
import ncf_handler
ncf_handler._load(Path(sys.argv[1]), mock.MagicMock(model_yaml_config={}, model_name="ncf"))
print(*{sys.modules[name].__file__ for name in ("handlers.service", "ncf.scoring.bundle")})
"""


def test_a_served_archive_uses_its_own_code(project: Path, bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(bundle.path.with_suffix(".mar")) as archive:
        archive.extractall(folder)
    # As TorchServe does: the archive comes after what PYTHONPATH held before.
    path = os.pathsep.join([str(project), str(folder)])
    ended = _run([sys.executable, "-P", "-c", _SERVED, str(folder)], tmp_path, path)
    assert ended.returncode == 0, ended.stderr
    assert "nightly job" not in ended.stdout
    assert all(each.startswith(str(folder)) for each in ended.stdout.split())
