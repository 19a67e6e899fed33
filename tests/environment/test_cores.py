"""A container's quota of CPUs bounds the threads of everything, and its memory what is free."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ncf import cgroups, devices
from ncf.devices import keep_to_quota, usable_cores
from ncf.memory import free_memory
from ncf.scoring import sessions
from ncf.scoring.bundle import Bundle
from ncf.scoring.exact import ExactRanker

_V2 = "29 22 0:26 {shown} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw"
_V1 = "32 31 0:29 {shown} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
_UNIFIED = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
_OTHER = "36 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset"


def _system(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    texts = {"proc/self/cgroup": groups, "proc/self/mountinfo": f"{mounts}\n{_OTHER}"}
    for name, text in (texts | files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "cpus"),
    [
        # Docker and Kubernetes, version 2: a name space of its own.
        ("0::/", _V2.format(shown="/"), {"cpu.max": "200000 100000"}, 2.0),
        ("0::/", _V2.format(shown="/"), {"cpu.max": "max 100000"}, None),
        ("0::/", _V2.format(shown="/"), {}, None),
        # systemd's CPUQuota: the slice above bounds the unit.
        (
            "0::/a.slice/b.service",
            _V2.format(shown="/"),
            {"a.slice/cpu.max": "150000 100000", "a.slice/b.service/cpu.max": "max 100000"},
            1.5,
        ),
        (
            "0::/a/b",
            _V2.format(shown="/"),
            {"a/cpu.max": "400000 100000", "a/b/cpu.max": "50000 100000"},
            0.5,
        ),
        # The host's path, of which the mount shows the end alone.
        ("0::/pod/box", _V2.format(shown="/pod/box"), {"cpu.max": "300000 100000"}, 3.0),
        ("0::/../other", _V2.format(shown="/"), {"cpu.max": "300000 100000"}, 3.0),
        # Version 1.
        (
            "3:cpu,cpuacct:/docker/4711\n2:cpuset:/docker/4711",
            _V1.format(shown="/docker/4711"),
            {"cpu,cpuacct/cpu.cfs_quota_us": "200000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            2.0,
        ),
        (
            "3:cpu,cpuacct:/",
            _V1.format(shown="/"),
            {"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            None,
        ),
        # Both are mounted, and version 1 has the CPUs.
        (
            "3:cpu,cpuacct:/\n0::/",
            f"{_V1.format(shown='/')}\n{_UNIFIED}",
            {"cpu,cpuacct/cpu.cfs_quota_us": "100000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            1.0,
        ),
        # Nonsense is no quota.
        ("0::/", _V2.format(shown="/"), {"cpu.max": "many"}, None),
        ("nothing", "nothing", {}, None),
    ],
)
def test_the_least_quota_above_counts(
    groups: str, mounts: str, files: dict[str, str], cpus: float | None, tmp_path: Path
) -> None:
    placed = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    assert cgroups.quota(_system(tmp_path, groups, mounts, placed)) == cpus


def test_a_machine_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    assert cgroups.quota(tmp_path) is None
    assert cgroups.memory_left(tmp_path) is None


_MEMORY_V1 = "33 31 0:30 {shown} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
_STAT = "anon 50\ninactive_file 30\ntotal_inactive_file 30"


def _memory(folder: str, most: str, used: str, *, old: bool = False) -> dict[str, str]:
    names = ("limit_in_bytes", "usage_in_bytes", "stat") if old else ("max", "current", "stat")
    texts = (most, used, _STAT)
    return {f"{folder}memory.{name}": text for name, text in zip(names, texts, strict=True)}


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "left"),
    [
        ("0::/", _V2.format(shown="/"), _memory("", "1000", "400"), 630),
        ("0::/", _V2.format(shown="/"), _memory("", "max", "400"), None),
        ("0::/", _V2.format(shown="/"), _memory("", "100", "400"), 0),
        ("0::/", _V2.format(shown="/"), {}, None),
        (  # the pod bounds the container
            "0::/pod/box",
            _V2.format(shown="/"),
            _memory("pod/", "900", "400") | _memory("pod/box/", "1000", "400"),
            530,
        ),
        (
            "4:memory:/docker/4711\n0::/",
            _MEMORY_V1.format(shown="/docker/4711"),
            _memory("memory/", "1000", "900", old=True),
            130,
        ),
        ("0::/", _V2.format(shown="/"), _memory("", "much", "400"), None),
    ],
)
def test_the_least_memory_left_counts(
    groups: str, mounts: str, files: dict[str, str], left: int | None, tmp_path: Path
) -> None:
    placed = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    assert cgroups.memory_left(_system(tmp_path, groups, mounts, placed)) == left


def test_free_memory_is_within_the_limit_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "memory_left", lambda: 12345)
    assert free_memory() == 12345
    monkeypatch.setattr(cgroups, "memory_left", lambda: None)
    assert free_memory() > 12345


@pytest.mark.parametrize(
    ("cores", "quota", "usable"),
    [(64, 2.0, 2), (64, 1.5, 1), (64, 0.25, 1), (2, 8.0, 2), (64, None, 64)],
)
def test_threads_go_by_the_quota(
    cores: int, quota: float | None, usable: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(cgroups, "quota", lambda: quota)
    assert usable_cores() == usable


def test_onnx_runtime_is_told_the_quota(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def opened(_: object, options: object, **__: object) -> None:
        asked.append(options.intra_op_num_threads)  # type: ignore[attr-defined]
        raise RuntimeError

    monkeypatch.setattr(sessions, "usable_cores", lambda: 3)
    monkeypatch.setattr("onnxruntime.InferenceSession", opened)
    for threads in (0, 1):
        with pytest.raises(Exception, match="ONNX Runtime"):
            ExactRanker.open(bundle, devices.Device.CPU, threads)
    assert asked == [3, 1]


@pytest.mark.parametrize("given", [None, "5"])
def test_libraries_of_a_command_keep_to_the_quota_unless_told_otherwise(
    given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in devices._THREADS:
        monkeypatch.delenv(name, raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.setattr(devices, "usable_cores", lambda: 2)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    keep_to_quota()
    assert os.environ["OMP_NUM_THREADS"] == (given or "2")
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"


def test_without_a_quota_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(devices, "usable_cores", lambda: 64)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    keep_to_quota()
    assert "OMP_NUM_THREADS" not in os.environ


_REAL = """
import os, sys
from pathlib import Path
group = Path("/sys/fs/cgroup/cpu") / f"ncf-test-{os.getpid()}"
group = group if group.parent.is_dir() else Path("/sys/fs/cgroup") / group.name
try:
    group.mkdir()
    if (group / "cpu.max").exists():
        (group / "cpu.max").write_text("100000 100000")
    else:
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text("100000")
    (group / "cgroup.procs").write_text(str(os.getpid()))
except OSError as error:
    print(error)
    sys.exit(77)
from ncf.devices import usable_cores
print(usable_cores(), len(os.sched_getaffinity(0)))
import ncf.cli.app
from ncf.devices import keep_to_quota
keep_to_quota()
import pyarrow, torch
print(pyarrow.cpu_count(), torch.get_num_threads())
(group.parent / "cgroup.procs").write_text(str(os.getpid()))
group.rmdir()
"""


def test_a_real_quota_of_one_cpu_is_kept() -> None:
    environment = {name: value for name, value in os.environ.items() if "_NUM_THREADS" not in name}
    ended = subprocess.run(
        [sys.executable, "-c", _REAL], env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode == 77:
        pytest.skip(f"no control group may be made here: {ended.stdout.strip()}")
    assert ended.returncode == 0, ended.stderr
    cores, threads = ended.stdout.splitlines()
    assert cores.split()[0] == "1"
    assert threads == "1 1"


_COMMAND = "import sys; sys.argv = ['ncf', 'train', '--data', 'none', '--out', 'none']\n"


@pytest.mark.parametrize(
    "code", [_COMMAND + "from ncf.cli import main; main()", "import ncf; ncf.train"]
)
@pytest.mark.parametrize(
    ("given", "kept"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE")]
)
def test_threads_of_a_training_sleep_while_they_wait_unless_told_otherwise(
    code: str, given: dict[str, str], kept: str, tmp_path: Path
) -> None:
    others = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**others, **given, "OMP_DISPLAY_ENV": "true"},  # OpenMP says what it read
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"OMP_WAIT_POLICY = '{kept}'" in ended.stderr
