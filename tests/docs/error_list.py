"""Write ``docs/errors.md``: every message that the toolkit raises on purpose, from the source.

    python -m tests.docs.error_list

It finds calls of the classes of :mod:`ncf.errors`, and of the few functions that make such errors,
in the syntax trees. :mod:`tests.docs.placeholders` writes what varies as a word in capitals.
"""

import ast
import importlib
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import ncf
from ncf import errors
from ncf.errors import NcfError
from tests.docs.placeholders import readable

ROOT = Path(next(iter(ncf.__path__))).parent
PAGE = ROOT / "docs" / "errors.md"
_PACKAGES = ("ncf", "export", "handlers", "batch")
_CLASSES: dict[str, type[NcfError]] = {
    name: each
    for name, each in vars(errors).items()
    if inspect.isclass(each) and issubclass(each, NcfError)
}
# Functions that make an error of a class: positions of the problem and of the remedy.
_MAKERS: dict[str, tuple[str, int, int | None]] = {
    "error": ("RatingsError", 1, 2),
    "refuse_where": ("RatingsError", 2, 3),
    "_damaged": ("ArtifactError", 1, None),
}
_INTRO = """\
# Errors

This page lists every message that the toolkit raises on purpose. `python -m
tests.docs.error_list` makes it from the source, and a test compares it with the source. A word in
capitals, such as FILE or NUMBER, stands for what varies; a slash separates alternatives. A
command prints one line on standard error,

    ncf: WHERE: PROBLEM; REMEDY

where WHERE is a file, `file:line`, an id or a field, and ends with the exit code of the error's
class. There are two other kinds of line with exit code 2. If a command or option is mistyped, the
line says which, and to see `--help`. If the operating system reports an error about a file, the
line names the file, and says to check the path, its disk and its permissions, or to free some
space. Anything else is a bug: exit code 1 and a traceback; please report it. A word in back quotes
is a parameter of a call in Python; a command shows its option instead: `test_ratio` is
`--test-ratio`, `mode="exact"` is `--mode exact`. Control characters in names and ids are escaped.

A served model answers a request with the same errors as JSON, with the HTTP status of the class.
"""


class Site(NamedTuple):
    """One place that makes an error."""

    name: str
    problem: str
    remedy: str
    module: str


def sites() -> list[Site]:
    """Find every place, by class, then by module and line."""
    found = []
    for package in _PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            tree = ast.parse(path.read_bytes())
            if path.name != "__main__.py":  # it runs the program
                found += list(_sites_of(tree, importlib.import_module(name)))
    order = list(_CLASSES)
    return sorted(dict.fromkeys(found), key=lambda site: order.index(site.name))


def page() -> str:
    """Text of ``docs/errors.md``."""
    lines = [_INTRO]
    found = sites()
    for name, each in _CLASSES.items():
        own = dict.fromkeys((s.problem, s.remedy) for s in found if s.name == name)
        if not own:
            continue
        first = (each.__doc__ or "").strip().splitlines()[0]
        lines += [f"## {name}", "", f"{first} Exit code {each.exit_code}, HTTP {each.http_status}."]
        lines += ["", "| problem | remedy |", "| --- | --- |"]
        lines += [f"| {_cell(problem)} | {_cell(remedy)} |" for problem, remedy in own]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _sites_of(tree: ast.Module, module: ModuleType) -> Iterator[Site]:
    constants = _texts_of(tree.body, module)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if (made := _made_by(node)) is None:
            continue
        called, name, first, second = made
        around = [f for f in functions if f.lineno <= node.lineno <= (f.end_lineno or 0)]
        texts = dict(constants)
        for function in around:
            texts |= _texts_of(ast.walk(function), module)
        if isinstance(passed := node.args[first], ast.Name) and passed.id not in texts:
            continue  # a function that passes a message on; its callers are here
        given = {word.arg: word.value for word in node.keywords}
        problem = readable(node.args[first], texts, module)
        if where := given.get("where"):
            problem = f"{readable(where, {}, module)}: {problem}"
        elif called in {"error", "refuse_where"}:
            problem = f"FILE:LINE: {problem}"
        elif called == "_damaged":
            problem = f"{readable(node.args[0], {}, module)}: {problem}"
        remedy = given.get("remedy") or (
            node.args[second] if second is not None and len(node.args) > second else None
        )
        text = _CLASSES[name].remedy if remedy is None else readable(remedy, texts, module)
        if called == "_damaged":
            text = "the KIND is damaged: make it with the command that made it"
        yield Site(name, problem, text, module.__name__)


def _made_by(call: ast.Call) -> tuple[str, str, int, int | None] | None:
    """Name the function, its error's class, and the positions of problem and remedy."""
    function = call.func
    called = function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
    if called in _CLASSES:
        return called, called, 0, None
    if called in _MAKERS and not ast.unparse(function).startswith("logger"):
        return called, *_MAKERS[called]
    return None


def _texts_of(nodes: Iterable[ast.AST], module: ModuleType) -> dict[str, str]:
    """Local or module names that stand for a text; for several, all of them."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        if not isinstance(node, ast.Assign):
            continue
        target, value = node.targets[0], node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=False))
        for name, text in pairs:
            if isinstance(name, ast.Name) and _is_text(text):
                found.setdefault(name.id, []).append(readable(text, {}, module))
    return {name: " / ".join(dict.fromkeys(texts)) for name, texts in found.items()}


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return constant or isinstance(node, ast.JoinedStr)


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ").replace("<", "&lt;")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
