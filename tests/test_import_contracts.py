"""The contracts of pyproject.toml hold, and each kind of wrong import turns 'make lint' red."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("ncf", "export", "batch", "handlers")


def _lint(folder: Path) -> tuple[int, str]:
    """Run the linter on a folder's packages, not on those that are installed."""
    program = f"import sys; sys.path.insert(0, {str(folder)!r}); "
    program += "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache'])"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )
    return ended.returncode, " ".join(f"{ended.stdout} {ended.stderr}".split())


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


def test_the_contracts_hold(copy: Path) -> None:
    code, said = _lint(copy)
    assert code == 0, said
    assert "0 broken" in said


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("ncf/evaluation/lists.py", "import export.bundle", "A room imports only rooms below it"),
        ("ncf/graphs/tower.py", "import ncf.scoring.seen", "A room imports only rooms below it"),
        ("ncf/pairs.py", "import ncf.data.splits", "Modules that every room may use"),
        # Within a function, and through another module: both count.
        ("ncf/data/id_files.py", "def late():\n    import torch", "do without PyTorch"),
        ("ncf/models/weights.py", "import onnxruntime", "do without ONNX Runtime"),
        ("ncf/identifiers.py", "import pyarrow", "An archive needs NumPy and ONNX Runtime alone"),
        ("export/publish.py", "import ts", "Handlers and serving alone know TorchServe"),
    ],
)
def test_a_wrong_import_is_named(copy: Path, module: str, line: str, contract: str) -> None:
    content = (copy / module).read_text()
    (copy / module).write_text(f"{content}\n{line}\n")
    try:
        code, said = _lint(copy)
    finally:
        (copy / module).write_text(content)
    assert code == 1, said
    assert contract in said.split("Broken contracts", 1)[1]


def test_make_lint_checks_the_contracts() -> None:
    ended = subprocess.run(
        ["make", "--dry-run", "--always-make", "lint"],  # noqa: S607 - the one on the path
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "lint-imports" in ended.stdout
