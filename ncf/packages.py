"""The toolkit's own packages beside ``ncf``: whose names anybody's file may have.

``batch``, ``export`` and ``handlers`` are names that a project likes to give too. A command finds
its own first, wherever it runs; a program that imports ``ncf`` keeps its own, and is told when the
toolkit needs the other.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from ncf.errors import UsageError

NAMES = ("batch", "export", "handlers")
_ROOT = Path(__file__).resolve().parents[1]


class _OwnFirst(MetaPathFinder):
    """Finds the toolkit's packages beside ``ncf``, whatever the path holds before them."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the signature of a finder
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Find a package of ours; leave all others to the next finder."""
        return PathFinder.find_spec(fullname, [str(_ROOT)]) if fullname in NAMES else None


def find_own_first() -> None:
    """Let this process, which is the toolkit's, find the toolkit's packages before all others."""
    if not any(isinstance(finder, _OwnFirst) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OwnFirst())


def require_own(*names: str) -> None:
    """Refuse to go on where a name would lead to somebody else's file; nothing of it is run.

    Raises
    ------
    UsageError
        One would; the message gives the file.
    """
    for name in names:
        place = _place(name)
        if place is not None and place.parent != _ROOT / name and place != _ROOT / name:
            raise UsageError(
                f"is in the way of the toolkit's package {name!r}",
                where=place,
                remedy="rename it, or take its folder out of PYTHONPATH and sys.path",
            )


def _place(name: str) -> Path | None:
    """File that a package's name leads to, or the folder of one without such a file."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if spec is None and name not in sys.modules:
        spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    places = [spec.origin] if spec.has_location else [*(spec.submodule_search_locations or [])]
    return next((Path(place).resolve() for place in places if place), None)
