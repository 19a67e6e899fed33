"""The table of a night mapped by Airflow over workers: one try or two, errors, the real table."""

import os
import shutil
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

import ncf
from batch.runs import open_runs
from ncf.scoring.bundle import Bundle
from tests.batch.pieces import parts
from tests.engines.processes import DATE, ENGINES, require
from tests.packaging.requirements import ROOT

BIN = ENGINES / "airflow" / "bin"
SHARES = 3
_RAISED = """
import runpy, sys
run = runpy.run_path(sys.argv[1])["run"]
try:
    print("ended", run("work")[0])
except Exception as error:
    print("raised", type(error).__name__)
"""
# Plans p1, p2, ...; the first commits of TRIES plans find that the recall is not proven.
_STUB = """#!/bin/sh
echo "$*" >> calls
if [ "$2" = plan ]; then
    echo p >> plans
    echo '{"plan": "p'$(wc -l < plans | tr -d ' ')'"}'
fi
if [ "$2" = commit ] && [ "$(wc -l < plans)" -lt "$TRIES" ]; then exit 4; fi
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder that the night works in, and Airflow with it."""
    require("airflow")
    (tmp_path / "dags").mkdir()
    return tmp_path


def _run(*words: object, home: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    env = {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
    }
    return subprocess.run(
        list(map(str, words)),
        check=False,
        cwd=home,
        env={**os.environ, **env, **more},
        capture_output=True,
        text=True,
    )


def _copied(home: Path, ncf: Path) -> Path:
    text = (ROOT / "deploy" / "batch_airflow.py").read_text()
    changes = {"/opt/ncf/bin/ncf": str(ncf), "/var/lib/ncf": str(home), "SHARES = 16": "SHARES = 3"}
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    copy = home / "dags" / "batch_airflow.py"
    copy.write_text(text)
    return copy


def _script(home: Path, text: str) -> Path:
    script = home / "stub"
    script.write_text(text)
    script.chmod(0o755)
    return script


def _night(home: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    migrated = _run(BIN / "airflow", "db", "migrate", home=home)
    assert migrated.returncode == 0, migrated.stderr
    return _run(BIN / "airflow", "dags", "test", "ncf_table", DATE, home=home, **more)


def test_the_exit_code_decides_whether_a_task_is_tried_again(home: Path) -> None:
    kinds = {75: "AirflowException", 130: "AirflowException", 2: "AirflowFailException"}
    for code, raised in {**kinds, 4: "AirflowFailException", 0: ""}.items():
        dag = _copied(home, _script(home, f"#!/bin/sh\nexit {code}\n"))
        ended = _run(BIN / "python", "-c", _RAISED, dag, home=home)
        last = ended.stdout.splitlines()[-1]
        assert last == (f"raised {raised}" if raised else "ended 0"), ended.stderr


@pytest.mark.parametrize("tries", [1, 2, 9])
def test_every_try_is_mapped_over_all_shares(home: Path, tries: int) -> None:
    _copied(home, _script(home, _STUB))
    ended = _night(home, TRIES=str(tries))
    calls = (home / "calls").read_text().splitlines()
    expected = []
    for number in range(1, min(tries, 4) + 1):
        expected.append(f"batch plan --bundle model_store/ncf --out topk --date {DATE} --json")
        work = f"batch work --out topk --plan p{number} --shard"
        expected += [f"{work} {share}/{SHARES}" for share in range(SHARES)]
        expected.append(f"batch commit --out topk --plan p{number} --keep 7")
    if tries > 4:  # the DAG has four; the run is cleared then, and plans again
        expected.append(expected[0])
        assert ended.returncode != 0
        assert "clear this run from 'plan' on" in ended.stdout + ended.stderr
    else:
        assert ended.returncode == 0, ended.stderr
    # Shares of one try come in any order.
    steps = groupby(calls, key=lambda call: call.partition(" --shard ")[0])
    assert [call for _, same in steps for call in sorted(same)] == expected


def test_the_table_has_the_bytes_of_one_batch(home: Path, bundle: Bundle) -> None:
    shutil.copytree(bundle.path, home / "model_store" / "ncf")
    _copied(home, Path(sys.executable).with_name("ncf"))
    ended = _night(home)
    assert ended.returncode == 0, ended.stderr
    one = ncf.batch(bundle.path, out=home / "one", date=DATE)
    assert open_runs(home / "topk").latest() == one.name
    assert parts(str(home / "topk"), one.name) == parts(str(home / "one"), one.name)
