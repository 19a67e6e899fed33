"""How much memory this process may still take."""

import psutil

from ncf import cgroups


def free_memory() -> int:
    """Count the bytes that are free, on the machine and within the limit of a container.

    Examples
    --------
    >>> free_memory() > 1_000_000
    True
    """
    available, left = psutil.virtual_memory().available, cgroups.memory_left()
    return available if left is None else min(available, left)
