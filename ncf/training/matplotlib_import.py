"""Matplotlib, imported so that it writes nothing into the user's home and heeds no odd variable.

By itself it makes folders below the home and keeps a list of fonts there, and is not to be had
where ``MPLBACKEND`` names what it does not know. What a program's own use of it would find, its
``matplotlibrc`` and its backend, stays as it would be.
"""

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

_SETTINGS, _BACKEND = "MATPLOTLIBRC", "MPLBACKEND"


def import_matplotlib() -> ModuleType:
    """Import what of Matplotlib makes folders and lists; a program that has done so has its own."""
    if sys.modules.get("matplotlib.figure") is not None and sys.modules.get("matplotlib"):
        return sys.modules["matplotlib"]
    with _variables() as backend, tempfile.TemporaryDirectory() as scratch:
        import matplotlib as mpl  # noqa: PLC0415 - here, where it finds what it is to find

        with _folders(mpl, scratch):
            import matplotlib.font_manager  # noqa: PLC0415
        with _folders(mpl, _home("XDG_CACHE_HOME", ".cache")):
            import matplotlib.backends.backend_agg  # noqa: PLC0415
            import matplotlib.figure  # noqa: PLC0415
            import matplotlib.style  # noqa: PLC0415
        if backend:
            with suppress(ValueError):  # of no use here, and for a program's own window to refuse
                mpl.rcParams["backend"] = backend
    return mpl


@contextmanager
def _folders(matplotlib: ModuleType, cache: str) -> Iterator[None]:
    """Let modules note where Matplotlib's folders are, without making them."""
    names = vars(matplotlib)
    own = {name: names[name] for name in ("get_cachedir", "get_configdir")}
    names["get_cachedir"] = lambda: cache
    names["get_configdir"] = lambda: _home("XDG_CONFIG_HOME", ".config")
    try:
        yield
    finally:
        names.update(own)


def _home(variable: str, folder: str) -> str:
    """Folder of Matplotlib's in the user's home, as Matplotlib chooses it."""
    if chosen := os.environ.get("MPLCONFIGDIR"):
        return chosen
    home = os.path.expanduser("~")  # noqa: PTH111 - raises nothing where there is none
    if not sys.platform.startswith(("linux", "freebsd")):
        return str(Path(home, ".matplotlib"))
    return str(Path(os.environ.get(variable) or Path(home, folder), "matplotlib"))


@contextmanager
def _variables() -> Iterator[str | None]:
    """Name the file of settings, for which folders would be made; take the backend away."""
    before = {name: os.environ.get(name) for name in (_SETTINGS, _BACKEND)}
    os.environ[_SETTINGS] = str(_settings())
    os.environ.pop(_BACKEND, None)
    try:
        yield before[_BACKEND]
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _settings() -> Path:
    """File that Matplotlib would take its settings from."""
    candidates = [Path(_home("XDG_CONFIG_HOME", ".config"), "matplotlibrc")]
    if given := os.environ.get(_SETTINGS):
        candidates = [Path(given), Path(given, "matplotlibrc"), *candidates]
    found = next((path for path in candidates if path.is_file()), None)
    return found or _installed() / "mpl-data" / "matplotlibrc"


def _installed() -> Path:
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
    return Path(next(iter(spec.submodule_search_locations)))
