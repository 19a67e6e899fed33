"""Find the modules that an archive must carry: all of ours that the TorchServe handler imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import ncf

HANDLER = "handlers/ncf_handler.py"
ROOT = Path(next(iter(ncf.__path__))).parent


def handler_code(root: Path = ROOT) -> list[str]:
    """Follow the handler's imports through the syntax trees.

    An import within a function counts, because the handler imports some of the archive's modules
    there; one under ``if TYPE_CHECKING`` does not. Modules that are not under ``root`` belong to
    other libraries.

    Parameters
    ----------
    root : Path
        Folder of the packages ``ncf`` and ``handlers``.

    Returns
    -------
    list of str
        Paths relative to ``root``, sorted, the handler itself left out.
    """
    found: set[str] = set()
    waiting = [HANDLER]
    while waiting:
        path = waiting.pop()
        for module in _imported(ast.parse((root / path).read_bytes())):
            new = set(_files(module, root)) - found
            found |= new
            waiting += new
    return sorted(found)


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yield the imports of a tree; ``from a import b`` yields both, as ``b`` may be a module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif not _is_for_types(node):
            yield from _imported(node)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _files(module: str, root: Path) -> Iterator[str]:
    """Yield the files that importing a module runs: those of its packages and its own."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        stem = "/".join(parts[:depth])
        for path in (f"{stem}/__init__.py", f"{stem}.py"):
            if (root / path).is_file():
                yield path
