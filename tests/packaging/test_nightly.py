"""The examples of a night: what cron, systemd, Airflow and Dagster accept, and that they run."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batch.runs import held_runs, open_runs
from ncf.errors import HELD
from tests.packaging.requirements import ROOT

NIGHTLY = ROOT / "deploy" / "nightly"
NCF = Path(sys.executable).with_name("ncf")
AIRFLOW, DAGSTER = "apache-airflow==3.3.2", "dagster==1.13.29"
UNREACHABLE = ("Could not find a version", "No matching distribution", "Failed to establish")
MATERIALISE = """
import runpy, sys, dagster as dg
found = runpy.run_path(sys.argv[1])
dg.Definitions.validate_loadable(found["defs"])
made = dg.materialize([found["bundle"], found["table"]], partition_key=sys.argv[2],
                      instance=dg.DagsterInstance.ephemeral(), raise_on_error=False)
retried = [each for each in made.all_events if each.event_type_value == "STEP_UP_FOR_RETRY"]
print("ended", made.success, len(retried))
"""
RAISED = """
import runpy, sys
run = runpy.run_path(sys.argv[1])["run"]
try:
    run("batch")
except Exception as error:
    print("raised", type(error).__name__, getattr(error, "allow_retries", ""))
"""


def _run(*words: object, cwd: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    path = f"{NCF.parent}:{os.environ['PATH']}"
    return subprocess.run(
        list(map(str, words)),
        check=False,
        cwd=cwd,
        env={**os.environ, "PATH": path, **env},
        capture_output=True,
        text=True,
    )


def write_ratings(file: Path, users: int = 40) -> Path:
    """Write ratings of so many users."""
    rng = random.Random(1)  # noqa: S311 - no secret
    rows = [
        f"u{user},i{item},{rng.randint(1, 5)},{rng.randint(1, 10**6)}"
        for user in range(users)
        for item in rng.sample(range(30), 10)
    ]
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(["user,item,rating,timestamp", *rows]) + "\n")
    return file


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder that a night works in."""
    ended = _run(NCF, "init", "gates", cwd=tmp_path)
    (tmp_path / "gates.toml").write_text(ended.stdout)
    return tmp_path


def _copied(name: str, home: Path, ncf: Path = NCF) -> Path:
    """Copy an example, with the paths of this machine."""
    text = (NIGHTLY / name).read_text()
    for old, new in {
        "/opt/ncf/bin/ncf": str(ncf),
        "/opt/ncf/deploy": str(ROOT / "deploy"),
        "/var/lib/ncf": str(home),
    }.items():
        text = text.replace(old, new)
    (home / "dags").mkdir(exist_ok=True)
    copy = home / "dags" / name
    copy.write_text(text)
    return copy


def test_cron_accepts_the_crontab() -> None:
    crontab = shutil.which("crontab")
    if crontab is None or "-n" not in _run(crontab, "-h", cwd=ROOT).stderr:
        pytest.skip("there is no crontab that checks without installing")
    ended = _run(crontab, "-n", NIGHTLY / "nightly.cron", cwd=ROOT)
    assert ended.returncode == 0, ended.stderr


def test_systemd_accepts_the_service_and_the_timer(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze")
    units = [_copied(f"ncf-nightly.{kind}", tmp_path) for kind in ("service", "timer")]
    ended = _run(analyze, "verify", *units, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.slow
def test_nights_of_the_script(home: Path) -> None:
    script, runs = NIGHTLY / "nightly.sh", open_runs(home / "topk")

    def night(date: str, users: int = 40, **env: str) -> "subprocess.CompletedProcess[str]":
        ratings = str(write_ratings(home / f"{users}.csv", users))
        return _run(script, date, cwd=home, RATINGS=ratings, PAUSES="", **env)

    def served() -> bytes:
        return (home / "model_store" / "ncf" / "bundle.json").read_bytes()

    for date in ("2026-11-24", "2026-11-25"):
        ended = night(date)
        assert ended.returncode == 0, ended.stderr
        assert runs.latest().startswith(date.replace("-", ""))
        assert (home / "nights" / "last").resolve().name == date
    assert "warm start" in ended.stdout  # the second one begins with the first
    latest, model = runs.latest(), served()

    half = night("2026-11-26", 20)
    assert half.returncode == HELD
    assert "gate failed: ratio users: 0.5 is below 0.9" in half.stderr
    assert (runs.latest(), served()) == (latest, model)
    assert len(held_runs(runs).names()) == 1

    assert night("2026-11-23").returncode == 0  # a backfill
    assert night("2026-11-25").returncode == 0  # the same date again
    assert (runs.latest(), served()) == (latest, model)
    assert len(runs.names()) == 3


@pytest.mark.slow
def test_the_script_tries_again_only_what_is_temporary(tmp_path: Path) -> None:
    stub = tmp_path / "bin" / "ncf"
    stub.parent.mkdir()
    stub.write_text(
        '#!/bin/sh\necho "$1" >> calls\n'
        'if [ "$1" = init ]; then echo; exit 0; fi\n'
        'if [ "$(grep -c "$1" calls)" -le "$TEMPORARY" ]; then exit 75; fi\nexit "$CODE"\n'
    )
    stub.chmod(0o755)
    for temporary, code, ended, calls in ((2, 2, 2, 3), (9, 0, 75, 4), (0, 3, 3, 1)):
        (tmp_path / "calls").unlink(missing_ok=True)
        env = {"PATH": f"{stub.parent}:{os.environ['PATH']}", "RATINGS": "r", "PAUSES": "0 0 0"}
        env |= {"TEMPORARY": str(temporary), "CODE": str(code)}
        found = _run(NIGHTLY / "nightly.sh", cwd=tmp_path, **env)
        assert found.returncode == ended, found.stderr
        assert (tmp_path / "calls").read_text().split().count("data") == calls


def _environment(folder: Path, package: str) -> Path:
    """Make a virtual environment with a package; its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    ended = _run(python, "-m", "pip", "install", "--quiet", package, cwd=folder)
    if any(said in ended.stderr for said in UNREACHABLE):
        pytest.skip(f"{package} is not to be had here")
    assert ended.returncode == 0, ended.stderr
    return python


def _stub(home: Path, code: int) -> Path:
    stub = home / "stub"
    stub.write_text(f"#!/bin/sh\nexit {code}\n")
    stub.chmod(0o755)
    return stub


@pytest.mark.slow
def test_airflow_runs_the_night(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    python = _environment(tmp_path_factory.mktemp("airflow"), AIRFLOW)
    write_ratings(home / "ratings" / "2026-11-26.csv")
    env = {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
    }
    for code, raised in ((75, "AirflowException"), (2, "AirflowFailException"), (0, "")):
        stubbed = _copied("airflow_nightly.py", home, _stub(home, code))
        ended = _run(python, "-c", RAISED, stubbed, cwd=home, **env)
        assert ended.stdout.partition("raised ")[2].strip() == raised, ended.stderr
    _copied("airflow_nightly.py", home)
    airflow = python.with_name("airflow")
    for words in (("db", "migrate"), ("dags", "test", "ncf_nightly", "2026-11-26")):
        ended = _run(airflow, *words, cwd=home, **env)
        assert ended.returncode == 0, ended.stderr
    assert open_runs(home / "topk").latest().startswith("20261126T000000Z-")


@pytest.mark.slow
def test_dagster_runs_the_night(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    python = _environment(tmp_path_factory.mktemp("dagster"), DAGSTER)
    raised = {75: "RetryRequested", 2: "Failure False", 0: ""}
    for code, kind in raised.items():
        stubbed = _copied("dagster_nightly.py", home, _stub(home, code))
        ended = _run(python, "-c", RAISED, stubbed, cwd=home)
        assert ended.stdout.partition("raised ")[2].strip() == kind, ended.stderr
    night = _copied("dagster_nightly.py", home)
    for day, users, outcome in (("2026-11-03", 40, "True 0"), ("2026-11-04", 20, "False 0")):
        write_ratings(home / "ratings" / f"{day}.csv", users)
        ended = _run(python, "-c", MATERIALISE, night, day, cwd=home)
        assert f"ended {outcome}" in ended.stdout, ended.stderr
    runs = open_runs(home / "topk")
    assert runs.latest().startswith("20261103T000000Z-")
    assert held_runs(runs).names()[0].startswith("20261104T000000Z-")
