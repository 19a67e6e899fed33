"""How much of the machine a container may use: CPUs and memory of its control group.

A quota of CPUs is time a period, not a set of cores: neither the count of cores nor the affinity of
a process tells of it. On Linux both versions of control groups are read.
"""

from collections.abc import Iterator
from pathlib import Path

_V1, _V2 = "cgroup", "cgroup2"


def quota(root: Path = Path("/")) -> float | None:
    """Count the CPUs that the quota allows, such as 1.5; None where there is no quota.

    Parameters
    ----------
    root : Path
        Where the system's ``proc`` and ``sys`` are.
    """
    try:
        folders = _folders(root, "cpu")
        found = [cpus for folder in folders if (cpus := _quota_in(folder)) is not None]
    except (OSError, ValueError):  # not Linux, or laid out in another way: as if there were none
        return None
    return min(found, default=None)


def memory_left(root: Path = Path("/")) -> int | None:
    """Count the bytes that the group may still take; None where there is no limit.

    Files that the system keeps in memory, and has not used for a while, count as free.

    Parameters
    ----------
    root : Path
        Where the system's ``proc`` and ``sys`` are.
    """
    try:
        found = [left for each in _folders(root, "memory") if (left := _left_in(each)) is not None]
    except (OSError, ValueError):
        return None
    return min(found, default=None)


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """Yield this process's groups of a controller and all above them: each may have a limit."""
    own = dict(_own(root / "proc/self/cgroup", controller))
    for line in (root / "proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = [*after.split(), "", "", ""][:3]
        if kind not in own or (kind == _V1 and controller not in options.split(",")):
            continue
        shown, mount = before.split()[3:5]
        inside = own[kind].removeprefix(shown.rstrip("/")) if own[kind].startswith(shown) else ""
        top = root / mount.replace("\\040", " ").lstrip("/")
        group = top / inside.lstrip("/")
        yield from (each for each in (group, *group.parents) if each.is_relative_to(top))


def _own(groups: Path, controller: str) -> Iterator[tuple[str, str]]:
    """Yield the kind of file system, and this process's group in it."""
    for line in groups.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield _V2, path
        elif controller in controllers.split(","):
            yield _V1, path


def _quota_in(folder: Path) -> float | None:
    newer, older = folder / "cpu.max", folder / "cpu.cfs_quota_us"
    if newer.is_file():
        time, period = newer.read_text().split()
    elif older.is_file():
        time, period = older.read_text(), (folder / "cpu.cfs_period_us").read_text()
    else:
        return None
    if time == "max" or int(time) <= 0 or int(period) <= 0:
        return None
    return int(time) / int(period)


def _left_in(folder: Path) -> int | None:
    newer = folder / "memory.max"
    names = ("memory.max", "memory.current", "inactive_file")
    if not newer.is_file():
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    limit, used = folder / names[0], folder / names[1]
    if not limit.is_file() or (most := limit.read_text().strip()) == "max":
        return None
    figures = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    return max(0, int(most) - int(used.read_text()) + int(figures.get(names[2], 0)))
