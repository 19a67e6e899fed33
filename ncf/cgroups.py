"""How much of the machine's CPUs a container may use: the quota of its control group.

A quota is time a period, not a set of cores: neither the count of cores nor the affinity of a
process tells of it. On Linux both versions of control groups are read.
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
        found = [cpus for folder in _folders(root) if (cpus := _quota_in(folder)) is not None]
    except (OSError, ValueError):  # not Linux, or laid out in another way: as if there were none
        return None
    return min(found, default=None)


def _folders(root: Path) -> Iterator[Path]:
    """Yield this process's groups of CPUs and all above them: each may have a quota."""
    own = dict(_own(root / "proc/self/cgroup"))
    for line in (root / "proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = [*after.split(), "", "", ""][:3]
        if kind not in own or (kind == _V1 and "cpu" not in options.split(",")):
            continue
        shown, mount = before.split()[3:5]
        inside = own[kind].removeprefix(shown.rstrip("/")) if own[kind].startswith(shown) else ""
        top = root / mount.replace("\\040", " ").lstrip("/")
        group = top / inside.lstrip("/")
        yield from (each for each in (group, *group.parents) if each.is_relative_to(top))


def _own(groups: Path) -> Iterator[tuple[str, str]]:
    """Yield the kind of file system, and this process's group in it."""
    for line in groups.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield _V2, path
        elif "cpu" in controllers.split(","):
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
