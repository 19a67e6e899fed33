"""Where to compute: one choice for PyTorch and ONNX Runtime alike."""

import os
from enum import StrEnum


class Device(StrEnum):
    """``auto`` takes CUDA where it can be used, else the CPU."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def usable_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
