"""The examples in docstrings say what happens."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import ncf
from tests.api.conftest import World

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
PUBLIC = [name for name in ncf.__all__ if not name.startswith("_")]
ROOT = Path(__file__).parents[2]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for room in ("ncf", "export", "batch", "handlers")
    for path in sorted((ROOT / room).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_object_has_an_example(name: str) -> None:
    item = getattr(ncf, name)
    parsed = doctest.DocTestParser().get_examples(inspect.getdoc(item) or "")
    run = [each for each in parsed if doctest.SKIP not in each.options]
    assert run, f"{name} has no example that runs"


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_show(name: str, world: World) -> None:
    module = importlib.import_module(name)
    given = {name: getattr(world, name) for name in ("data", "model", "bundle", "run")}
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    told: list[str] = []
    for test in doctest.DocTestFinder().find(module, extraglobs={"ncf": ncf, **given}):
        runner.run(test, out=told.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(told)
