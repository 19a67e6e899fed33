"""The whole proof, rehearsed on the CPU in small sizes; and its kit, where there is little else."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import torch

from benchmarks.cuda import PARTS
from benchmarks.gpu.blocks import recipe
from benchmarks.gpu.kit import LARGEST
from benchmarks.gpu.worlds import make
from ncf.models.kinds import Variant
from ncf.training.names import Named
from ncf.training.recipe import named_recipe

_ROOT = Path(__file__).parents[2]
_REHEARSAL = ("--device", "cpu", "--small", "--minutes", "5")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rehearsal") / "worlds"
    make(folder, small=True)
    return folder


def _run(*words: str, cwd: Path, code: int = 0, python: str = sys.executable) -> str:
    ended = subprocess.run(
        [python, *words],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep temporary files here: other tests watch the machine's folder."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))


def _results(out: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads((out / "cuda.json").read_text())
    return found


def test_every_part_runs_on_a_cpu_and_leaves_figures(worlds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("-m", "benchmarks.cuda", *_REHEARSAL, "--worlds", str(worlds), "--out", str(out))
    printed = _run(*words, cwd=_ROOT)
    results = _results(out)
    assert {name: results[name]["status"] for name in PARTS} == {
        **dict.fromkeys(PARTS, "passed"),
        "faults": "skipped",  # its second half needs a GPU
    }
    assert all(results[name]["rows"] for name in PARTS)
    rows = results["faults"]["rows"]
    assert isinstance(rows, list)
    assert rows[0]["killed"]
    assert rows[0]["same_bytes_after"]
    assert printed.endswith((out / "cuda.md").read_text() + "\n")
    assert "exact, blocks of 32, 4 threads: users a second" in printed


@pytest.mark.slow
def test_a_part_that_fails_ends_no_other(worlds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    broken = tmp_path / "worlds"
    (broken / "trained").mkdir(parents=True)
    (broken / "trained" / "ncf").symlink_to(worlds / "trained" / "ncf")
    for name in ("gmf", "mlp-1", "mlp-3", "neumf-2", "neumf-5"):
        (broken / name / "ncf").mkdir(parents=True)  # no bundle
    words = ("-m", "benchmarks.cuda", *_REHEARSAL, "--worlds", str(broken), "--out", str(out))
    _run(*words, "--only", "parity", "training", cwd=_ROOT, code=1)
    results = _results(out)
    assert results["parity"]["status"] == "failed"
    assert "bundle.json is missing" in str(results["parity"]["reason"])
    assert results["parity"]["rows"]  # what it found before
    assert results["training"]["status"] == "passed"


@pytest.mark.slow
def test_the_kit_runs_with_pytorch_and_numpy_alone(worlds: Path, tmp_path: Path) -> None:
    kit = tmp_path / "cuda-kit.zip"
    words = ("-m", "benchmarks.gpu.kit", "--small", "--worlds", str(worlds), "--out", str(kit))
    _run(*words, cwd=_ROOT)
    assert kit.stat().st_size < LARGEST
    with zipfile.ZipFile(kit) as file:
        assert not [name for name in file.namelist() if name.endswith((".so", ".pyd"))]
        file.extractall(tmp_path)
    # Of what is installed here, only these: all else must come with the kit.
    venv.create(tmp_path / "plain", with_pip=False)
    (few,) = (tmp_path / "plain" / "lib").glob("python*/site-packages")
    installed = Path(torch.__file__).parents[1]
    needs = ("filelock", "jinja2", "markupsafe", "mpmath", "networkx", "sympy", "fsspec")
    for name in (
        "torch",
        "numpy",
        "numpy.libs",
        "torchgen",
        "functorch",
        "typing_extensions.py",
        *needs,
    ):
        if (installed / name).exists():
            (few / name).symlink_to(installed / name)
    out = tmp_path / "out"
    command = ("-m", "benchmarks.cuda", *_REHEARSAL, "--out", str(out))
    plain = str(tmp_path / "plain" / "bin" / "python")
    _run(*command, cwd=tmp_path / "cuda-kit", python=plain)
    results = _results(out)
    statuses = {name: results[name]["status"] for name in PARTS}
    skipped = {name for name, status in statuses.items() if status == "skipped"}
    assert skipped == {"parity", "ranking", "answers", "faults"}
    assert all(statuses[name] == "passed" for name in PARTS.keys() - skipped)
    assert results["parity"]["reason"] == "not installed: onnxruntime"


def test_gmf_by_blocks_is_trained_by_the_default_recipe() -> None:
    schedule, blocks = recipe()
    default = named_recipe(Named.DEFAULT, Variant.GMF).schedule
    assert default.blocks is not None
    for name in ("users", "steps", "items", "unseen", "negatives", "popularity", "user_rate"):
        assert getattr(blocks, name) == getattr(default.blocks, name)
    for name in ("learning_rate", "decay", "l2", "averaging"):
        assert getattr(schedule, name) == getattr(default, name)
