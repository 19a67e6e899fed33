"""The examples of a batch on many machines: what schedulers accept, and that they run."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from batch.runs import open_runs
from batch.verify import verify_run
from ncf.cli.app import app
from ncf.scoring.bundle import Bundle
from tests.packaging.requirements import ROOT

DEPLOY = ROOT / "deploy"
BASH = shutil.which("bash") or "/bin/bash"
STEPS = ("plan", "work", "commit")


def _jobs() -> dict[str, dict[str, Any]]:
    listed = yaml.safe_load((DEPLOY / "batch-kubernetes.yaml").read_text())
    assert (listed["apiVersion"], listed["kind"]) == ("v1", "List")
    return {job["metadata"]["labels"]["step"]: job for job in listed["items"]}


def _containers() -> Iterator[dict[str, Any]]:
    for job in _jobs().values():
        yield from job["spec"]["template"]["spec"]["containers"]


def _options(*command: str) -> set[str]:
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "300"}).output
    return set(re.findall(r"--[a-z-]+", shown))


def test_kubernetes_accepts_the_three_jobs() -> None:
    jobs = _jobs()
    assert tuple(jobs) == STEPS
    for job in jobs.values():
        for version in ("1.31", "1.33"):
            kubernetes_validate.validate(job, version, strict=True)
    broken = {**jobs["work"], "spec": {**jobs["work"]["spec"], "completions": "many"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, "1.33", strict=True)


def test_every_index_works_on_its_share_and_pods_are_as_closed_as_the_servers() -> None:
    work = _jobs()["work"]["spec"]
    assert work["completionMode"] == "Indexed"
    (container,) = work["template"]["spec"]["containers"]
    (share,) = (word for word in container["args"] if word.startswith("--shard="))
    assert share == f"--shard=$(JOB_COMPLETION_INDEX)/{work['completions']}"
    for each in _containers():
        assert each["securityContext"]["readOnlyRootFilesystem"] is True
    for job in _jobs().values():
        rules = job["spec"]["podFailurePolicy"]["rules"]
        assert 75 not in rules[0]["onExitCodes"]["values"]


def test_every_option_of_the_jobs_exists() -> None:
    for container in _containers():
        command = [*container["command"][1:], container["args"][0]]
        named = {word.partition("=")[0] for word in container["args"][1:]}
        assert named <= _options(*command), command


def _directives() -> list[str]:
    script = (DEPLOY / "batch-slurm-work.sh").read_text()
    head = script[: script.index("set -euo")]
    return re.findall(r"^#SBATCH (.+)$", head, re.M)


def test_slurm_can_read_the_array() -> None:
    parser = argparse.ArgumentParser()  # the options of sbatch(1) that we use
    for name in ("--job-name", "--array", "--mem", "--time"):
        parser.add_argument(name, required=True)
    parser.add_argument("--cpus-per-task", type=int, required=True)
    parser.add_argument("--requeue", action="store_true", required=True)
    found = parser.parse_args([word for line in _directives() for word in shlex.split(line)])
    first, last = map(int, found.array.split("-"))
    assert (first, last, found.requeue) == (0, 15, True)
    assert re.fullmatch(r"\d+[KMGT]", found.mem)
    assert re.fullmatch(r"\d\d:\d\d:\d\d", found.time)


def test_the_shell_can_read_the_scripts_and_their_options_exist() -> None:
    for name in ("batch-slurm.sh", "batch-slurm-work.sh"):
        path = DEPLOY / name
        subprocess.run([BASH, "-n", str(path)], check=True)
        assert os.access(path, os.X_OK)
        for step, rest in re.findall(r"ncf batch (plan|work|commit) (.+)", path.read_text()):
            named = set(re.findall(r"--[a-z-]+", rest.partition("||")[0]))
            assert named <= _options("batch", step), step


_SBATCH = """#!{python}
import os, re, subprocess, sys
(array,) = [w.split("=", 1)[1] for w in sys.argv if w.startswith("--array=")]
(export,) = [w.split("=", 1)[1] for w in sys.argv if w.startswith("--export=")]
env = os.environ | dict(each.split("=", 1) for each in export.split(",")[1:])
first, last = map(int, array.split("-"))
for task in range(first, last + 1):
    own = env | {{"SLURM_ARRAY_TASK_ID": str(task), "SLURM_CPUS_PER_TASK": "1"}}
    subprocess.run([sys.argv[-1]], env=own, check=True)
"""


@pytest.mark.slow
def test_the_script_for_slurm_publishes_a_table(bundle: Bundle, tmp_path: Path) -> None:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "sbatch").write_text(_SBATCH.format(python=sys.executable))
    program = "#!/bin/sh\nexec {} -c 'from ncf.cli import main; main()' \"$@\"\n"
    (bin_ / "ncf").write_text(program.format(sys.executable))
    for path in bin_.iterdir():
        path.chmod(0o755)
    shutil.copytree(bundle.path, tmp_path / "models" / "ncf")
    env = {
        **os.environ,
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "BUNDLE": str(tmp_path / "models" / "ncf"),
        "OUT": str(tmp_path / "topk"),
        "SHARES": "2",
    }
    subprocess.run([str(DEPLOY / "batch-slurm.sh")], env=env, check=True, cwd=ROOT)
    runs = open_runs(tmp_path / "topk")
    verify_run(tmp_path / "topk" / runs.latest(), bundle.path)
