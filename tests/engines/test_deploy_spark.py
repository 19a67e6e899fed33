"""The line for spark-submit works as it is pasted, on a cluster of this machine."""

import ast
from pathlib import Path

import pytest

import ncf
from batch.runs import open_runs
from ncf.errors import BAD_INPUT
from ncf.scoring.bundle import Bundle
from tests.batch.pieces import parts
from tests.engines.processes import require, running
from tests.engines.spark_cluster import BIN, local_ip, spark_cluster
from tests.packaging.requirements import ROOT

SCRIPT = ROOT / "deploy" / "batch_spark.py"


def _line(changes: dict[str, str]) -> str:
    """Take the line out of the script's own text, with the places of this machine."""
    told = ast.get_docstring(ast.parse(SCRIPT.read_text())) or ""
    (line,) = [each for each in told.split("\n\n") if "spark-submit " in each and "--out" in each]
    for old, new in changes.items():
        assert old in line, old
        line = line.replace(old, new)
    return line


@pytest.fixture(autouse=True)
def _made() -> None:
    require("spark")


def test_the_line_for_spark_submit_publishes_a_table(bundle: Bundle, tmp_path: Path) -> None:
    with spark_cluster(tmp_path, workers=1) as cluster:
        changes = {
            "/opt/ncf/bin": str(BIN),
            "spark://host:7077": cluster.address,
            "batch_spark.py": str(SCRIPT),
            "/shared/model_store/ncf": str(bundle.path),
            "/shared/topk": str(tmp_path / "topk"),
        }
        line = _line(changes)
        env = local_ip()
        with running("bash", "-c", line, cwd=tmp_path, **env) as command:
            ended = command.ended()
            assert ended.returncode == 0, ended.stderr
        wrong = line.replace(str(bundle.path), str(tmp_path / "none"))
        with running("bash", "-c", wrong, cwd=tmp_path, **env) as command:
            ended = command.ended()
            assert ended.returncode == BAD_INPUT, ended.stderr
            said = f"{ended.stdout}{ended.stderr}".splitlines()  # spark-submit joins the two
            assert [line for line in said if line.startswith("ncf: ") and "; " in line]
    one = ncf.batch(bundle.path, out=tmp_path / "one")
    run = open_runs(tmp_path / "topk").latest()
    assert parts(str(tmp_path / "topk"), run) == parts(str(tmp_path / "one"), one.name)
