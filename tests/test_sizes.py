"""No module and no function grows past what can be read in one go."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("ncf", "export", "handlers", "batch", "benchmarks")
LINES_OF_A_MODULE, LINES_OF_A_FUNCTION = 250, 50
# The front door's docstrings are its manual, with every parameter and an example: not counted.
MANUAL = "ncf/api/"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> Iterator[tuple[str, str]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def functions(source: str) -> Iterator[Function]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            yield node


def length(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_module_has_250_lines() -> None:
    found = {name: len(source.splitlines()) for name, source in modules()}
    assert len(found) > 150
    assert {name: lines for name, lines in found.items() if lines >= LINES_OF_A_MODULE} == {}


def test_no_function_has_more_than_50_lines() -> None:
    found = {}
    for name, source in modules():
        for function in functions(source):
            manual = name.startswith(MANUAL) and ast.get_docstring(function) is not None
            lines = length(function) - (length(function.body[0]) if manual else 0)
            found[f"{name}:{function.name}:{function.lineno}"] = lines
    assert len(found) > 800
    assert {name: lines for name, lines in found.items() if lines > LINES_OF_A_FUNCTION} == {}


def test_no_two_test_modules_have_one_name() -> None:
    """Pytest collects only one of them where a folder has no ``__init__.py``."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert {name: count for name, count in names.items() if count > 1} == {}
