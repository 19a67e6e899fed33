"""How busy the GPU is, and how much of its memory is taken, while something runs."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from ncf.devices import Device

_COMMAND = [
    *("nvidia-smi", "--query-gpu=utilization.gpu,memory.used"),
    *("--format=csv,noheader,nounits", "--loop-ms=50"),
]


class Load:
    """Samples of ``nvidia-smi``; none on a CPU."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float]] = []

    @classmethod
    @contextmanager
    def watched(cls, device: Device) -> Iterator["Load"]:
        """Sample until the block ends."""
        load = cls()
        if device is not Device.CUDA:
            yield load
            return
        with subprocess.Popen(_COMMAND, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield load
            finally:
                process.terminate()
                load.read(process.communicate()[0])

    def read(self, text: str) -> None:
        """Take lines of ``busy, memory``: per cent and MiB; others are no samples."""
        for line in text.splitlines():
            busy, _, memory = line.partition(",")
            try:
                self._samples.append((float(busy), float(memory)))
            except ValueError:
                continue

    def figures(self) -> dict[str, object]:
        """Mean share of the time that the GPU was busy, and the most memory that was taken."""
        if not self._samples:
            return {}
        busy, memory = zip(*self._samples, strict=True)
        return {
            "gpu_busy": round(sum(busy) / len(busy) / 100, 2),
            "gpu_memory_mib": max(memory),
        }
