"""The examples in docstrings say what happens."""

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import ncf
import ncf.api
import ncf.columns
import ncf.data.frames
import ncf.data.raw_ids
from tests.api.conftest import World

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
PUBLIC = [name for name in ncf.__all__ if not name.startswith("_")]
MODULES = [
    *(
        importlib.import_module(f"ncf.api.{each.name}")
        for each in pkgutil.iter_modules(ncf.api.__path__)
    ),
    ncf.columns,
    ncf.data.frames,
    ncf.data.raw_ids,
]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_object_has_an_example(name: str) -> None:
    item = getattr(ncf, name)
    parsed = doctest.DocTestParser().get_examples(inspect.getdoc(item) or "")
    run = [each for each in parsed if doctest.SKIP not in each.options]
    assert run, f"{name} has no example that runs"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_give_what_they_show(module: ModuleType, world: World) -> None:
    given = {name: getattr(world, name) for name in ("data", "model", "bundle", "run")}
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    told: list[str] = []
    for test in doctest.DocTestFinder().find(module, extraglobs={"ncf": ncf, **given}):
        runner.run(test, out=told.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(told)
