"""Plugin of 'make mutate': worlds made once for all mutants, and no search for small examples.

mutmut forks a process for each mutant from the one in which all tests have passed. To export the
same bundle in each would take most of the time, as would Hypothesis's search for the smallest
example of what is wrong; and such a process ends without clearing its temporary folder away.
What is wrong in 'ncf' must be noticed by its own tests: those of whole batch runs are left out.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from _pytest.fixtures import SubRequest
from hypothesis import Phase, settings

from ncf.scoring.bundle import Bundle, open_bundle
from ncf.training.checkpoint import Checkpoint, open_checkpoint

World = Path | Checkpoint | Bundle
# Fixtures of conftest.py: their folders are kept, and opened anew by the code under test.
_OPEN: dict[str, Callable[[Path], World]] = {
    "data_folder": Path,
    "checkpoint": open_checkpoint,
    "bundle": open_bundle,
}
_kept: dict[str, Path] = {}


def pytest_configure() -> None:
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutation", phases=phases, database=None, derandomize=True)
    settings.load_profile("mutation")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("MUTANT_UNDER_TEST", "").startswith("ncf."):
        strangers = [item for item in items if item.nodeid.startswith("tests/batch/")]
        items[:] = [item for item in items if item not in strangers]
        config.hook.pytest_deselected(items=strangers)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[World], request: SubRequest) -> World | None:
    name = fixturedef.argname
    if name not in _kept:
        return None  # made as always
    world = _OPEN[name](_kept[name])
    fixturedef.cached_result = (world, fixturedef.cache_key(request), None)
    return world


@pytest.hookimpl(specname="pytest_fixture_setup", wrapper=True)
def pytest_keep_the_first(
    fixturedef: pytest.FixtureDef[World],
) -> Generator[None, World, World]:
    world = yield
    name = fixturedef.argname
    if name in _OPEN and name not in _kept:
        _kept[name] = _copy(world if isinstance(world, Path) else world.path, name)
    return world


def pytest_unconfigure(config: pytest.Config) -> None:
    temporary: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    shutil.rmtree(temporary.getbasetemp(), ignore_errors=True)


def _copy(folder: Path, name: str) -> Path:
    scratch = Path(tempfile.mkdtemp(prefix="mutation-"))
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(scratch)

    atexit.register(remove)
    return Path(shutil.copytree(folder, scratch / name))
