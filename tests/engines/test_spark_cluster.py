"""A batch on a Spark cluster of two workers: one is killed, or stands still; the table is whole."""

import signal
import time
from pathlib import Path

import pytest

import ncf
from ncf.errors import TEMPORARY
from ncf.scoring.bundle import Bundle
from tests.batch.pieces import facts, parts
from tests.engines.processes import DATE, require, running, wait_for
from tests.engines.spark_cluster import NCF, local_ip, spark_cluster
from tests.packaging.requirements import ROOT

SLOW = str(ROOT / "tests" / "engines" / "slow")
_SECONDS_AFTER_A_FAULT = (
    180  # a silent executor is lost after 60 s; the rest is room for busy cores
)


@pytest.fixture(autouse=True)
def _made() -> None:
    require("spark")


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_is_killed_or_frozen_costs_time_and_nothing_else(
    bundle: Bundle, tmp_path: Path, fault: signal.Signals
) -> None:
    out = tmp_path / "topk"
    asked = ("--bundle", bundle.path, "--out", out, "-k", 5, "--mode", "exact", "--date", DATE)
    shape = ("--no-report", "--shard-users", 1, "--engine", "spark")
    env = {**local_ip(), "PYTHONPATH": SLOW}
    with spark_cluster(tmp_path, env) as cluster:
        words = (NCF, "batch", *asked, *shape, "--address", cluster.address)
        with running(*words, cwd=tmp_path, **env) as command:
            wait_for(5, out, command)
            # The worker too: it would start another executor.
            lost = [*cluster.executor(0), *cluster.workers[0].processes()]
            for process in lost:
                process.send_signal(fault)
            begun = time.monotonic()
            ended = command.ended(_SECONDS_AFTER_A_FAULT)
            print(f"{fault.name}: ended {time.monotonic() - begun:.1f} s after the fault")  # noqa: T201 - for people
            assert ended.returncode == 0, ended.stderr
            assert command.gone(5)
    one = ncf.batch(
        bundle.path, out=tmp_path / "one", k=5, mode="exact", date=DATE, report=False, shard_users=1
    )
    assert parts(str(out), one.name) == parts(str(tmp_path / "one"), one.name)
    assert facts(str(out), one.name) == facts(str(tmp_path / "one"), one.name)


def test_a_cluster_without_workers_is_given_up(bundle: Bundle, tmp_path: Path) -> None:
    with spark_cluster(tmp_path, workers=0) as cluster:
        asked = ("--bundle", bundle.path, "--out", tmp_path / "topk", "--engine", "spark")
        words = (NCF, "batch", *asked, "--address", cluster.address, "--patience", 3)
        with running(*words, cwd=tmp_path, **local_ip()) as command:
            ended = command.ended()
            assert ended.returncode == TEMPORARY, ended.stderr
            assert command.gone(1)
    assert f"Spark at {cluster.address} has given no executor for" in ended.stderr
    assert "start workers with enough free cores; finished parts are kept" in ended.stderr
