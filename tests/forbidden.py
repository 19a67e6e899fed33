"""What no module may call, told from its syntax tree: whatever runs code or leaves a folder."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("ncf", "export", "handlers", "batch", "benchmarks")

# Modules whose readers run code, or trust paths, by design.
_MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
_MODULES |= {"imp", "code", "codeop", "commands", "pty"}
_BUILTINS = {"eval", "exec", "compile", "__import__"}
_CALLS = {
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("torch.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter"),
    *("tempfile.mktemp", "importlib.import_module", "runpy.run_path", "runpy.run_module"),
    *("pandas.read_pickle", "pd.read_pickle", "numpy.fromregex", "types.FunctionType"),
    *("shutil.unpack_archive", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"),
    *("xml.etree.ElementTree.parse", "xml.etree.ElementTree.fromstring"),
}
# On any object: extractall of a tar or zip file follows '..' and links.
_METHODS = {"extractall", "read_pickle", "to_pickle"}
_SPAWNING = ("os.spawn", "os.exec")


def forbidden(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of whatever a module must not do."""
    names = _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or "", *(f"{node.module}.{name}" for name in modules)]
            for module in modules:
                if module.partition(".")[0] in _MODULES or module in _CALLS:
                    yield node.lineno, f"import {module}"
        elif isinstance(node, ast.Call):
            yield from ((node.lineno, name) for name in _called(node, names))
        elif isinstance(node, ast.Name) and node.id in _BUILTINS:
            yield node.lineno, node.id


def _called(node: ast.Call, names: dict[str, str]) -> Iterator[str]:
    name = _dotted(node.func, names)
    keywords = {each.arg: each.value for each in node.keywords}
    if name in _CALLS or name.startswith(_SPAWNING) or name.rpartition(".")[2] in _METHODS:
        yield name
    if name.endswith("yaml.load") and "Safe" not in ast.unparse(
        keywords.get("Loader", ast.Constant(""))
    ):
        yield "yaml.load without a safe loader"
    for keyword in ("shell", "allow_pickle"):
        value = keywords.get(keyword)
        if value is not None and not (isinstance(value, ast.Constant) and value.value is False):
            yield f"{keyword}={ast.unparse(value)}"
    weights = keywords.get("weights_only")
    if weights is not None and not (isinstance(weights, ast.Constant) and weights.value is True):
        yield "weights_only"


def _imported(tree: ast.AST) -> dict[str, str]:
    """What each local name stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
            }
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, names)}.{node.attr}"
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    return "?"


def modules(root: Path) -> list[Path]:
    """Every module of the project but its tests."""
    return sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
