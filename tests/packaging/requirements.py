"""Write what installations rest on, out of pyproject.toml and this environment.

    python -m tests.packaging.requirements

``constraints.lock`` holds the versions that the tests ran with, direct and transitive.
``requirements-serve.txt`` holds the extra ``serve``, for the Dockerfile.
``requirements-cpu.txt`` is the base with ONNX Runtime's CPU wheel: pip cannot leave a requirement
of a wheel out, so that this list and ``--no-deps`` stand in for it.
"""

import platform
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PINS = ROOT / "constraints.txt"
LOCK = ROOT / "constraints.lock"
CPU = ROOT / "requirements-cpu.txt"
SERVE = ROOT / "requirements-serve.txt"
TESTED = ("all", "dev", "docs")  # extras of what 'make setup' installs
GPU_RUNTIME, CPU_RUNTIME = "onnxruntime-gpu", "onnxruntime"
# What CUDA builds of torch need beside it, and CPU builds do not.
_CUDA = re.compile(r"nvidia-.*|cuda-.*|(pytorch-)?triton")


def project() -> dict[str, Any]:
    """Read the ``[project]`` table."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    table: dict[str, Any] = content["project"]
    return table


def machine() -> str:
    """Name what markers tell apart: Python, system, processor."""
    version = ".".join(platform.python_version_tuple()[:2])
    return f"Python {version}, {sys.platform}, {platform.machine()}"


def installed() -> dict[str, str]:
    """Versions of all that this project needs here, with its tests, by canonical name.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        Something that is needed is not installed.
    """
    found: dict[str, str] = {}
    done: set[tuple[str, str]] = set()
    waiting = [("ncf", extra) for extra in ("", *TESTED)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in done:
            continue
        done.add((name, extra))
        distribution = metadata.distribution(name)
        found[name] = distribution.version.partition("+")[0]  # not whose build of it
        environment = {"extra": extra}  # the rest is this machine
        for requirement in map(Requirement, distribution.requires or ()):
            needed = canonicalize_name(requirement.name)
            if _CUDA.fullmatch(needed):
                continue
            if requirement.marker is None or requirement.marker.evaluate(environment):
                waiting += [(needed, each) for each in ("", *requirement.extras)]
    del found["ncf"]
    return found


def lock() -> str:
    """Give the content of ``constraints.lock`` for this environment."""
    lines = [f"{name}=={version}" for name, version in sorted(installed().items())]
    head = f"# What the tests ran with, made by 'make lock' on {machine()}."
    return "\n".join([head, *lines]) + "\n"


def cpu_requirements() -> str:
    """Give the content of ``requirements-cpu.txt``."""
    lines = []
    for requirement in map(Requirement, project()["dependencies"]):
        if requirement.name == GPU_RUNTIME:
            continue
        if requirement.name == CPU_RUNTIME:
            requirement.marker = None
        lines.append(str(requirement))
    head = "# The base without CUDA, made by 'make lock': see docs/howto/install.md."
    return "\n".join([head, *sorted(lines)]) + "\n"


def serve_requirements() -> str:
    """Give the content of ``requirements-serve.txt``."""
    head = "# The extra 'serve' for the Dockerfile, made by 'make lock'."
    return "\n".join([head, *sorted(project()["optional-dependencies"]["serve"])]) + "\n"


if __name__ == "__main__":
    LOCK.write_text(lock(), encoding="utf-8")
    SERVE.write_text(serve_requirements(), encoding="utf-8")
    CPU.write_text(cpu_requirements(), encoding="utf-8")
