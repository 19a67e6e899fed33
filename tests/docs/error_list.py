"""Write ``docs/errors.md``: every message that the toolkit raises on purpose, out of the source.

    python -m tests.docs.error_list

Looks through the syntax trees for calls of the classes of :mod:`ncf.errors`, and of the few
functions that make such errors; what is not a constant stands in braces.
"""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import ncf
from ncf import errors
from ncf.errors import NcfError

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

Every message that the toolkit raises on purpose, made from the source by `python -m
tests.docs.error_list` (a test holds this page against the source). What varies stands in braces.
A command prints one line on standard error,

    ncf: WHERE: PROBLEM; REMEDY

where WHERE is a file, `file:line`, an id or a field, and ends with the exit code of the error's
class. Besides these there are two kinds of line: a command or option that is mistyped (exit code
2; the line says which, and to see `--help`), and an error of the operating system about a file
(exit code 2; the line names the file, and says to check the path, its disk and its permissions,
or to free some space). Anything else is a fault of ours: exit code 1 and a traceback, which
please report. What a message has in back quotes is a parameter, as a call in Python gives it; a
command shows its option there: `test_ratio` is `--test-ratio`, `mode="exact"` is `--mode exact`.
Control characters in names and ids are printed escaped.

Of a served model a request gets the same errors as JSON, with the status of its class.
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
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found += list(_sites_of(ast.parse(path.read_bytes()), module))
    order = list(_CLASSES)
    return sorted(dict.fromkeys(found), key=lambda site: order.index(site.name))


def page() -> str:
    """Text of ``docs/errors.md``."""
    lines = [_INTRO]
    found = sites()
    for name, each in _CLASSES.items():
        own = [site for site in found if site.name == name]
        if not own:
            continue
        first = (each.__doc__ or "").strip().splitlines()[0]
        lines += [f"## {name}", "", f"{first} Exit code {each.exit_code}, HTTP {each.http_status}."]
        lines += ["", "| problem | remedy | module |", "| --- | --- | --- |"]
        lines += [f"| {_cell(s.problem)} | {_cell(s.remedy)} | `{s.module}` |" for s in own]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _sites_of(tree: ast.Module, module: str) -> Iterator[Site]:
    constants = _strings_of(tree.body)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        if called in _CLASSES:
            name, first, second = called, 0, None
        elif called in _MAKERS and not ast.unparse(node.func).startswith("logger"):
            name, first, second = _MAKERS[called]
        else:
            continue
        around = [f for f in functions if f.lineno <= node.lineno <= (f.end_lineno or 0)]
        known = constants | {k: v for f in around for k, v in _strings_of(ast.walk(f)).items()}
        given = {word.arg: word.value for word in node.keywords}
        problem = _template(node.args[first], known)
        if where := given.get("where"):
            problem = f"{_where(where)}: {problem}"
        elif called in {"error", "refuse_where"}:
            problem = f"{{file}}:{{line}}: {problem}"
        elif called == "_damaged":
            problem = f"{{{_short(node.args[0])}}}: {problem}"
        remedy = given.get("remedy") or (
            node.args[second] if second is not None and len(node.args) > second else None
        )
        text = _CLASSES[name].remedy if remedy is None else _template(remedy, known)
        yield Site(name, problem, text, module)


def _strings_of(nodes: object) -> dict[str, str]:
    """Local or module names that stand for a text; for several, all of them."""
    found: dict[str, list[str]] = {}
    for node in nodes:  # type: ignore[attr-defined]
        if not isinstance(node, ast.Assign):
            continue
        target, value = node.targets[0], node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=False))
        for name, text in pairs:
            if isinstance(name, ast.Name) and isinstance(text, ast.Constant | ast.JoinedStr):
                written = _template(text, {})
                if isinstance(text, ast.JoinedStr) or isinstance(text.value, str):
                    found.setdefault(name.id, []).append(written)
    return {name: " / ".join(dict.fromkeys(texts)) for name, texts in found.items()}


def _template(node: ast.expr, known: dict[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(part, known) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        inner = node.value
        constant = isinstance(inner, ast.Name) and inner.id.startswith("_")
        return _template(inner, known if constant else {})
    if isinstance(node, ast.IfExp):
        return f"{_template(node.body, known)} / {_template(node.orelse, known)}"
    if isinstance(node, ast.Name) and node.id in known:
        return known[node.id]
    return f"{{{_short(node)}}}"


def _where(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return _template(node, {})
    return f"{{{_short(node)}}}"


def _short(node: ast.expr) -> str:
    """Say what varies, in a word or two."""
    text = ast.unparse(node)
    for call in ("str(", "min(", "repr("):
        text = text.removeprefix(call).removesuffix(")") if text.startswith(call) else text
    text = text.replace("self.", "").replace("_", " ").replace("`", "'").strip()
    return text if len(text) <= 40 else f"{text[:37]}..."


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ").replace("<", "&lt;")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
