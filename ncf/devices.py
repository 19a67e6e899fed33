"""Choose the device that computes, for PyTorch and ONNX Runtime alike."""

import os
from enum import StrEnum


class Device(StrEnum):
    """Devices that compute; ``auto`` takes CUDA where it works, else the CPU."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def usable_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
