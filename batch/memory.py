"""How much memory this process has held."""

import sys
from pathlib import Path


def peak_memory() -> int:
    """Most memory that this process has held, in bytes; mapped files count."""
    if sys.platform == "win32":
        return 0
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says may be from before this program was started
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        peak = next((line.split()[1] for line in lines if line.startswith("VmHWM")), None)
        if peak is not None:
            return int(peak) * 1024
    import resource  # noqa: PLC0415 - not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
