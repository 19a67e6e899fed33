"""A batch on Spark: the bytes of 'ncf batch', one line for an error, and no process left."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

import ncf
from batch.runs import open_runs
from ncf.errors import BAD_INPUT, FAULT, INTERRUPTED, TEMPORARY
from ncf.scoring.bundle import Bundle
from tests.batch.pieces import facts, parts
from tests.engines.processes import DATE, require, running, wait_for
from tests.engines.spark_cluster import NCF, PYTHON, without_java
from tests.packaging.requirements import ROOT

SLOW = str(ROOT / "tests" / "engines" / "slow")
Options = dict[str, Any]

_MANY = """
import json, sys
from pyspark import SparkConf, SparkContext
import ncf
from ncf.errors import UsageError
conf = SparkConf().setMaster("local[2]").set("spark.ui.enabled", "false")
with SparkContext(conf=conf.set("spark.driver.bindAddress", "127.0.0.1")) as ours:
    for options in json.load(open(sys.argv[1])):
        ncf.batch(engine="spark", **options)
    try:
        ncf.batch(engine="spark", address="spark://elsewhere:7077", **{**options, "date": None})
    except UsageError as error:
        print(error)
    print(ours.parallelize([3]).collect())
"""


@pytest.fixture(autouse=True)
def _made() -> None:
    require("spark")


def _words(bundle: Bundle, out: Path, *more: object) -> list[object]:
    asked = ("--bundle", bundle.path, "--out", out, "-k", 5, "--mode", "exact", "--date", DATE)
    # A report has seconds in it.
    return [
        NCF,
        "batch",
        *asked,
        "--no-report",
        "--engine",
        "spark",
        "--address",
        "local[2]",
        *more,
    ]


def _one(bundle: Bundle, out: Path, **more: Any) -> str:  # noqa: ANN401 - options of a batch
    """Make the same batch by threads of this process; the name of its run."""
    return ncf.batch(bundle.path, out=out, k=5, mode="exact", date=DATE, report=False, **more).name


def _same(first: Path, second: Path, run: str) -> None:
    assert parts(str(first), run) == parts(str(second), run)
    assert facts(str(first), run) == facts(str(second), run)


def test_batches_in_an_application_that_runs_give_the_bytes_of_threads(
    screened_bundle: Bundle, narrow_bundle: Bundle, night: dict[str, str], tmp_path: Path
) -> None:
    screened = {"mode": "screened", "recall": 0.9}
    variants: dict[str, tuple[Bundle, Options]] = {
        "plain": (screened_bundle, {}),
        "files": (screened_bundle, night),
        "strangers": (screened_bundle, {"seen": night["seen"], "cold_user": "popular"}),
        "skipping": (screened_bundle, {"seen": night["seen"], "cold_user": "skip", "k": 7}),
        "listed": (screened_bundle, {**night, "layout": "list", "workers": 2}),
        "screened": (screened_bundle, {**screened, "seen": night["seen"]}),
        "two tries": (narrow_bundle, {"mode": "screened", "recall": 0.95, "k": 10}),
    }
    variants["behind a URI"] = (screened_bundle, {"seen": night["seen"], "mode": "exact"})
    asked: list[Options] = []
    for name, (bundle, options) in variants.items():
        common: Options = {"bundle": str(bundle.path), "k": 5, "mode": "exact", "date": DATE}
        common |= {"shard_users": 37, "report": False, **options}
        there = {**common, "out": str(tmp_path / "spark" / name)}
        asked.append({**there, "bundle": bundle.path.as_uri()} if "URI" in name else there)
        ncf.batch(**{**common, "out": str(tmp_path / "one" / name)})
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    words = (PYTHON, "-c", _MANY, tmp_path / "asked.json")
    env = {"PYSPARK_PYTHON": str(PYTHON), "NCF_CACHE": str(tmp_path / "cache")}
    with running(*words, cwd=tmp_path, **env) as command:
        ended = command.ended()
        assert ended.returncode == 0, ended.stderr
        said, still = ended.stdout.splitlines()
        assert "runs here already, at local[2]; leave it out" in said
        assert still == "[3]"  # the application is its owner's to stop
    for name in variants:
        out = tmp_path / "spark" / name
        _same(out, tmp_path / "one" / name, open_runs(out).latest())
    copies = list((tmp_path / "cache").rglob("bundle.json"))
    assert [copy.parent.name for copy in copies] == [screened_bundle.digest]
    runs = open_runs(tmp_path / "spark" / "two tries")
    proof = runs.manifest(runs.latest()).recall
    assert proof is not None
    assert proof.number > 1


def test_a_command_runs_on_loopback_and_leaves_no_process(bundle: Bundle, tmp_path: Path) -> None:
    words = _words(bundle, tmp_path / "topk", "--shard-users", 4, "--json")
    with running(*words, cwd=tmp_path) as command:
        heard = set[str]()
        while command.runs():
            heard |= command.addresses()
        ended = command.ended()
        assert ended.returncode == 0, ended.stderr
        assert command.gone()
    assert heard
    assert {each.removeprefix("::ffff:") for each in heard} <= {"127.0.0.1", "::1"}
    assert "Traceback" not in ended.stderr
    assert "WARN" not in ended.stderr
    figures = json.loads(ended.stdout)
    assert figures["outcome"] == "published"
    run = _one(bundle, tmp_path / "one", shard_users=4)
    _same(tmp_path / "topk", tmp_path / "one", run)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_its_java_and_the_next_goes_on(
    bundle: Bundle, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "topk"
    words = _words(bundle, out, "--shard-users", 1)
    with running(*words, cwd=tmp_path, PYTHONPATH=SLOW) as command:
        wait_for(3, out, command)
        command.send(number)
        ended = command.ended(30)
        assert ended.returncode == INTERRUPTED, ended.stderr
        assert command.gone(1), command.processes()
    assert "parts finished; the same command continues from them" in ended.stderr
    assert "Traceback" not in ended.stderr
    with running(*_words(bundle, out, "--shard-users", 1), cwd=tmp_path) as command:
        assert command.ended().returncode == 0
    run = _one(bundle, tmp_path / "one", shard_users=1)
    assert parts(str(out), run) == parts(str(tmp_path / "one"), run)
    assert open_runs(out).manifest(run).parts_reused >= 3


def test_a_signal_while_java_starts_ends_it_too(bundle: Bundle, tmp_path: Path) -> None:
    with running(*_words(bundle, tmp_path / "topk"), cwd=tmp_path) as command:
        while len(command.processes()) < 2:
            assert command.runs()
        command.send(signal.SIGINT)
        ended = command.ended(60)
        assert ended.returncode == INTERRUPTED, ended.stderr
        assert command.gone(1), command.processes()


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("versions", BAD_INPUT, "ncf is 0.0.1 here and 0.1.0 in the plan"),
        ("all-die", TEMPORARY, "finished parts are kept"),
        ("bug", FAULT, "ZeroDivisionError: on purpose"),
    ],
)
def test_a_task_that_fails_says_so_as_a_thread_would(
    bundle: Bundle, tmp_path: Path, fault: str, code: int, said: str
) -> None:
    fail = {"PYTHONPATH": SLOW, "NCF_TEST_FAULT": fault}
    words = _words(bundle, tmp_path / "topk", "--shard-users", 20)
    with running(*words, cwd=tmp_path, **fail) as command:
        ended = command.ended()
        assert ended.returncode == code, ended.stderr
        assert command.gone(1)
    assert said in ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("ncf: ")]
    assert len(lines) == (code != FAULT)
    assert not list((tmp_path / "topk").glob("2*"))


def test_a_task_whose_process_dies_is_made_again(bundle: Bundle, tmp_path: Path) -> None:
    once = {"NCF_TEST_FAULT": "die", "NCF_TEST_ONCE": str(tmp_path / "once")}
    words = _words(bundle, tmp_path / "topk", "--shard-users", 5)
    with running(*words, cwd=tmp_path, PYTHONPATH=SLOW, **once) as command:
        ended = command.ended()
        assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "once").exists()
    run = _one(bundle, tmp_path / "one", shard_users=5)
    _same(tmp_path / "topk", tmp_path / "one", run)


@pytest.mark.parametrize(
    ("address", "code", "said"),
    [
        ("sc://127.0.0.1:15002", BAD_INPUT, "is that of Spark Connect"),
        ("spark://127.0.0.1", BAD_INPUT, "has no port; give spark://host:7077"),
        ("spark://127.0.0.1:9,127.0.0.1:19", TEMPORARY, "no master of Spark answers at"),
        ("spark://a..b:7077", TEMPORARY, "no master of Spark answers at a..b:7077"),
        ("nonsense", BAD_INPUT, "is no master"),
        ("localhost:7077", BAD_INPUT, "is no master"),
        ("local[some]", BAD_INPUT, "Could not parse Master URL"),
        ("local[2] --workers 4", BAD_INPUT, "that has the cores of a task (--workers)"),
    ],
)
def test_an_address_that_is_none_is_refused(
    bundle: Bundle, tmp_path: Path, address: str, code: int, said: str
) -> None:
    words = _words(bundle, tmp_path / "topk", "--address", *address.split())
    with running(*words, cwd=tmp_path) as command:
        ended = command.ended()
        assert command.gone(1)
    assert ended.returncode == code, ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("ncf: ")]
    assert said in line
    assert "; " in line


def test_without_java_or_with_an_old_one_a_line_says_what_to_install(
    bundle: Bundle, tmp_path: Path
) -> None:
    old, broken = (tmp_path / name / "bin" / "java" for name in ("old", "broken"))
    for java, version in ((old, "1.8.0_392"), (broken, "17.0.15")):
        java.parent.mkdir(parents=True)
        java.write_text(
            f'#!/bin/sh\n[ "$1" = -version ] && echo \'openjdk version "{version}"\' >&2 && exit\n'
            "echo it broke >&2\nexit 1\n"
        )
        java.chmod(0o755)
    none = without_java(tmp_path / "bin")
    for env, said in (
        ({"PATH": none, "JAVA_HOME": ""}, "there is no Java; install Java 17 or 21"),
        ({"JAVA_HOME": str(tmp_path)}, f"{tmp_path} is no Java"),
        ({"JAVA_HOME": str(tmp_path / "old")}, "Java 1 is too old"),
        ({"JAVA_HOME": str(tmp_path / "broken")}, "Java did not start Spark (it broke / "),
    ):
        with running(*_words(bundle, tmp_path / "topk"), cwd=tmp_path, **env) as command:
            ended = command.ended()
        assert ended.returncode == BAD_INPUT, ended.stderr
        assert said in ended.stderr.splitlines()[-1]
