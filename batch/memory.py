"""Measure the peak memory of this process."""

import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory() -> int:
    """Find the peak memory of this process, in bytes, memory-mapped files included."""
    if _STATUS.exists():  # getrusage may report memory from before this program was started
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        peak = next((line.split()[1] for line in lines if line.startswith("VmHWM")), None)
        if peak is not None:
            return int(peak) * 1024
    if sys.platform == "win32":
        import psutil  # noqa: PLC0415 - needed only on Windows

        return int(psutil.Process().memory_info().peak_wset)
    import resource  # noqa: PLC0415 - not on Windows

    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts in bytes, Linux and the BSDs in KiB.
    return peak_rss if sys.platform == "darwin" else peak_rss * 1024
