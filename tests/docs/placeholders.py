"""Turn the expressions of an error's message into what a reader sees: texts and placeholders."""

import ast
import builtins
from collections.abc import Mapping
from types import ModuleType

# Words of the source, and the placeholder that says more to a reader; others are used as they are.
_PLACEHOLDERS = {
    "COLUMN": "wrong",
    "DIGEST": "trained opened digest",
    "FIELD": "unknown",
    "FILE": """archive block checkpoint document file foreign graph part path score_graph table
        users""",
    "FOLDER": "bundle folder logs out parent root source state target",
    "ITEM": "raw",
    "KIND": "noun",
    "LIST": "failures known listed named several",
    "NAME": "differing",
    "NUMBER": """actual_columns drawn dropout dropped expected_columns factors free_bytes k layers
        least longest min_rating missed n_items negatives number pid rank recall row rows seed size
        status_code test_ratio trials version within""",
    "PLACE": "where",
    "REASON": "cause error last_line lines msg problem refusal strerror why_not",
    "VALUE": "args as_py flat given input",
}
_WORDS = {word: name for name, words in _PLACEHOLDERS.items() for word in words.split()}
_WHOLE = {  # what a call or an attribute adds to a message
    "_TO_UTF8.format(encoding)": "convert it with 'iconv -f ENCODING -t UTF-8'",
    "_left_behind(stage, request.out)": "; holds the best epoch (NUMBER) of NUMBER",
    "changed[0] if changed else bundle.path": "FILE",
    "install(package.extra)": "pip install 'ncf[EXTRA]'",
    "kind.manifest": "MANIFEST",
    "kind.remedy": "make it with the command that made it",
    "kind.schema_version": "NUMBER",
    "layout.expected": "COLUMNS",
    "model if isinstance(model, Path) else None": "FOLDER",
    "path.name": "FILE",
    "remedy": "give each row a finite number, or leave the column out",
}
_OUTER = {"str", "min", "max", "repr", "sorted", "_shown"}  # calls that only shape their argument


def readable(node: ast.expr, texts: Mapping[str, str], module: ModuleType) -> str:
    """Write an expression as its message shows it.

    Parameters
    ----------
    node : ast.expr
        A text, an f-string, or a name or call that gives a text.
    texts : mapping
        Texts of the names of the function around it.
    module : module
        Module of the expression, which gives the values of constants.
    """
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(readable(part, texts, module) for part in node.values)
    if isinstance(node, ast.IfExp) and ast.unparse(node) not in _WHOLE:
        return f"{readable(node.body, texts, module)} / {readable(node.orelse, texts, module)}"
    if isinstance(node, ast.FormattedValue):
        return _formatted(node, texts, module)
    if isinstance(node, ast.Name) and node.id in texts:
        return texts[node.id]
    return _constant(node, module) or placeholder(node)


def _formatted(node: ast.FormattedValue, texts: Mapping[str, str], module: ModuleType) -> str:
    specification = ast.unparse(node.format_spec) if node.format_spec else ""
    if any(mark in specification for mark in (",", ".", "x")):
        return "NUMBER"
    word = readable(node.value, texts, module)
    return f"'{word}'" if node.conversion == ord("r") and word not in {"NUMBER", "VALUE"} else word


def placeholder(node: ast.expr) -> str:
    """Find the placeholder of a value that varies."""
    text = ast.unparse(node)
    if text in _WHOLE:
        return _WHOLE[text]
    word = _word(node)
    return _WORDS.get(word, word.upper().strip("_"))


def _word(node: ast.expr) -> str:
    """Find the word of the source that says most about a value."""
    if isinstance(node, ast.Name):
        return node.id.strip("_")
    if isinstance(node, ast.Attribute):
        return _word(node.value) if node.attr in {"value", "name"} else _without_marks(node.attr)
    if isinstance(node, ast.Subscript):
        index = node.slice
        named = isinstance(index, ast.Constant) and isinstance(index.value, str)
        return str(index.value) if named else _word(node.value)  # type: ignore[attr-defined]
    if isinstance(node, ast.Call):
        return _word_of_call(node)
    return "file" if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) else "number"


def _without_marks(name: str) -> str:
    return "type" if name == "__name__" else name.strip("_")


def _word_of_call(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        method = node.func.attr
        plain = {"join": "list", "sum": "number", "place": "FILE:LINE", "at": "FILE:LINE"}
        if method in plain:
            return plain[method]
        return _word(node.func.value) if method in {"decode", "strip", "start"} else method
    name = ast.unparse(node.func)
    if name == "len":
        return "number"
    return _word(node.args[0]) if name in _OUTER else name.strip("_")


def _constant(node: ast.expr, module: ModuleType) -> str | None:
    """Value of an expression over constants of a module; None where anything in it varies."""
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    constants = {name for name in names if name.strip("_")[:1].isupper() or name == "install"}
    text = ast.unparse(node)
    if not constants or names - constants or "__" in text or set(names) & set(dir(builtins)):
        return None
    if not all(hasattr(module, name) for name in names):
        return None
    return str(eval(text, dict(vars(module))))  # noqa: S307 - our own source
