"""Every fault on every command: the last output whole, the error as promised, the rerun right.

Each command is swept in a process of its own, on a small disk of its own where the system lets us
mount one. Here file operations are thinned out; ``python -m tests.faults.sweep`` tries them all.
"""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.faults.cases import CASES

# A process each, and each N-th file operation alone: chosen so that all takes half a minute; the
# slow test tries more of them.
PROCESSES = (
    {"fetch": 4, "prepare": 8},
    {"train": 60, "export": 150, "verify": 10, "batch": 40},
)
_FINER = {"train": 25, "export": 60, "verify": 5, "batch": 15}
# Of the environment: what other tests of this worker left in the rest is not the commands'.
_KEPT = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TMPDIR", "VIRTUAL_ENV")
ANYWHERE = ["random kill", "file too large", "clock set back"]
WRITING = [*ANYWHERE, "kill", "input/output error", "flush that fails", "second writer"]
ON_A_DISK_OF_ITS_OWN = ["full disk", "read-only disk"]
FAULTS = [
    (command, fault)
    for command in CASES
    for fault in [*(WRITING if command != "verify" else ANYWHERE), *ON_A_DISK_OF_ITS_OWN]
]


@cache
def sweep(process: int, scratch: Path) -> dict[str, Any]:
    """Sweep the commands of a process once; what it reports, by command."""
    folder = scratch / str(process)
    folder.mkdir()
    return _swept(PROCESSES[process], folder)


def _swept(strides: dict[str, int], folder: Path) -> dict[str, Any]:
    commands = [f"{command}:{every}" for command, every in strides.items()]
    words = [sys.executable, "-m", "tests.faults.sweep", str(folder), *commands, "--random", "2"]
    mount = f'mount -t tmpfs -o size=16m none {folder} && exec "$0" "$@"'
    launcher = ["unshare", "-Urm", "sh", "-c", mount]
    possible = subprocess.run([*launcher, "true"], capture_output=True, check=False)
    ended = subprocess.run(
        [*(launcher if possible.returncode == 0 else []), *words],
        cwd=Path(__file__).parents[2],
        env={name: os.environ[name] for name in _KEPT if name in os.environ}
        | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


def _process(command: str) -> int:
    return next(number for number, swept in enumerate(PROCESSES) if command in swept)


def _group(command: str) -> pytest.MarkDecorator:
    """Keep the tests of one process on one worker, which then sweeps once."""
    return pytest.mark.xdist_group(f"sweep {_process(command)}")


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all sweeps of this session."""
    return tmp_path_factory.mktemp("sweeps")


@pytest.mark.parametrize(
    ("command", "fault"),
    [pytest.param(*each, marks=_group(each[0])) for each in FAULTS],
)
def test_a_fault_leaves_the_last_output_and_the_same_command_ends_right(
    command: str, fault: str, scratch: Path
) -> None:
    report = sweep(_process(command), scratch)[command]
    assert [problem for problem in report["problems"] if problem.startswith(fault)] == []
    if fault in ON_A_DISK_OF_ITS_OWN and fault not in report["tried"]:
        pytest.skip("no mount namespace here")
    assert report["tried"][fault] >= 1


@pytest.mark.parametrize(
    "command",
    [pytest.param(each, marks=_group(each)) for each in CASES],
)
def test_nothing_else_went_wrong_either(command: str, scratch: Path) -> None:
    assert sweep(_process(command), scratch)[command]["problems"] == []


@pytest.mark.slow
def test_no_fault_between_more_operations_does_harm(tmp_path: Path) -> None:
    report = _swept(_FINER, tmp_path)
    assert [(name, each["problems"]) for name, each in report.items() if each["problems"]] == []
    assert set(report) == set(_FINER)
