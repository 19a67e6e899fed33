"""What a part of the proof is given, and where it writes its figures."""

import importlib.util
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ncf.devices import Device
from ncf.files import atomic_file


class Skipped(Exception):  # noqa: N818 - not an error: the reason is a result
    """The part cannot run here; the text says why."""


@dataclass(frozen=True)
class Settings:
    """What all parts share.

    Parameters
    ----------
    device : Device
        ``cuda`` for the proof, ``cpu`` for a rehearsal.
    worlds : Path
        Folder of models to score with; see :mod:`benchmarks.gpu.worlds`.
    small : bool
        Small sizes, for a rehearsal.
    seconds : float
        How long this part may take.
    """

    device: Device
    worlds: Path
    small: bool
    seconds: float
    started: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Seconds that are left of this part's time."""
        return self.seconds - (time.monotonic() - self.started)

    def require_cuda(self) -> None:
        """Skip what has no meaning on a CPU.

        Raises
        ------
        Skipped
            This is a rehearsal.
        """
        if self.device is not Device.CUDA:
            raise Skipped("needs a GPU")


class Record:
    """Figures of one part, written to a file after each.

    Parameters
    ----------
    path : Path
        JSON file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, Any]] = []
        self._status: dict[str, str] = {"status": "running"}

    def add(self, what: str, **figures: object) -> None:
        """Keep a row of figures."""
        self._rows.append({"what": what, **figures})
        self._write()

    def end(self, status: str, reason: str = "") -> None:
        """Say how the part ended: ``passed``, ``failed`` or ``skipped``."""
        self._status = {"status": status, "reason": reason}
        self._write()

    def _write(self) -> None:
        with atomic_file(self._path, clean=False) as file:
            file.write(json.dumps({**self._status, "rows": self._rows}, indent=1).encode())


BATCH = ("filelock", "fsspec", "pandas", "psutil", "pyarrow")
"""What the batch job needs besides ONNX Runtime and NumPy."""


def require(*modules: str) -> None:
    """Skip where a module is not installed.

    Raises
    ------
    Skipped
        One is missing; the reason names it.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise Skipped(f"not installed: {', '.join(missing)}")
