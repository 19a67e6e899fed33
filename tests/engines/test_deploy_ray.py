"""The script for a Ray job works as it is pasted, on a cluster of this machine."""

import re
import tempfile
from pathlib import Path

import ncf
from batch.runs import open_runs
from ncf.scoring.bundle import Bundle
from tests.batch.pieces import parts
from tests.engines.processes import ENGINES, require, require_namespaces, running
from tests.packaging.requirements import ROOT

BIN = ENGINES / "ray" / "bin"
SCRIPT = ROOT / "deploy" / "batch-ray.sh"
JOB = ROOT / "tests" / "engines" / "ray_job.sh"
# With a namespace of processes, whatever Ray leaves ends with the script.
LONELY = ("unshare", "-rn", "--pid", "--fork", "--mount-proc", "--kill-child")


def _line(changes: dict[str, str]) -> str:
    """Take the line out of the script's own text, with the places of this machine."""
    (line,) = re.findall(r"^#   (HEAD=.+)$", SCRIPT.read_text(), re.M)
    for old, new in changes.items():
        assert old in line, old
        line = line.replace(old, new)
    return str(line)


def test_the_script_for_a_ray_job_publishes_a_table(bundle: Bundle, tmp_path: Path) -> None:
    require("ray")
    require_namespaces(*LONELY)
    line = _line(
        {
            "ray-head": "127.0.0.1",
            "deploy/batch-ray.sh": str(SCRIPT),
            "/shared/model_store/ncf": str(bundle.path),
            "/shared/topk": str(tmp_path / "topk"),
        }
    )
    wrong = line.replace(str(bundle.path), str(tmp_path / "none"))
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder:  # sockets have short names
        env = {"RAY": str(BIN / "ray"), "NCF": str(BIN / "ncf"), "FOLDER": folder}
        env["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        both = f"{line} && {{ ! {wrong}; }}"
        with running(*LONELY, JOB, both, cwd=tmp_path, **env) as command:
            ended = command.ended()
            assert ended.returncode == 0, ended.stdout + ended.stderr
            assert command.gone(10)
    assert "not a bundle" in ended.stdout + ended.stderr
    one = ncf.batch(bundle.path, out=tmp_path / "one")
    run = open_runs(tmp_path / "topk").latest()
    assert parts(str(tmp_path / "topk"), run) == parts(str(tmp_path / "one"), one.name)
