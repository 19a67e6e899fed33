"""Choose the device that computes, for PyTorch and ONNX Runtime alike."""

import os
from enum import StrEnum

from ncf import cgroups

# What OpenMP (PyTorch, Arrow), OpenBLAS (NumPy) and MKL read when they are loaded.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Device(StrEnum):
    """Devices that compute; ``auto`` takes CUDA where it works, else the CPU."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def usable_cores() -> int:
    """Count the cores that this process may use: of its affinity, and of a container's quota.

    A part of a core more than the quota allows would have all threads wait for it: 1.5 is 1.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    allowed = cgroups.quota()
    return cores if allowed is None else max(1, min(cores, int(allowed)))


def share_cores() -> None:
    """Have OpenMP's threads sleep while they wait, not spin; what the user has set stands.

    Before PyTorch is imported. On cores that other programs use too, a thread that spins keeps the
    one that it waits for from running: small trainings took seventeen times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def keep_to_quota() -> None:
    """Have libraries start no more threads than may run; what the user has set stands.

    For a process of ours, before they are imported: left to themselves they know the machine's
    cores, or the affinity, and nothing of a quota.
    """
    if usable_cores() < (os.cpu_count() or 1):
        for name in _THREADS:
            os.environ.setdefault(name, str(usable_cores()))
