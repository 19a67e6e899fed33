"""A batch on Ray: the bytes of 'ncf batch', whatever becomes of a node, and no process left.

The clusters of these tests are in a network namespace with ``lo`` alone; what Ray starts by itself
listens on loopback.
"""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

import ncf
from batch.runs import open_runs
from ncf.devices import usable_cores
from ncf.errors import BAD_INPUT, FAULT, INTERRUPTED, TEMPORARY
from ncf.scoring.bundle import Bundle
from tests.batch.pieces import facts, parts
from tests.engines.processes import DATE, ENGINES, require_namespaces, running, wait_for
from tests.packaging.requirements import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

BIN = ENGINES / "ray" / "bin"
SLOW = {"PYTHONPATH": str(ROOT / "tests" / "engines" / "slow")}
Words = list[object]
Told = dict[str, Any]


@pytest.fixture(autouse=True)
def _made() -> None:
    if not (ENGINES / "ray" / ".complete").exists():
        pytest.skip("'make test-all' and 'make engines' make .engines/ray")


def _words(bundle: object, out: Path, *more: object) -> Words:
    asked = ("--bundle", bundle, "--out", out, "--date", DATE, "--device", "cpu")
    return ["batch", *asked, "--no-report", *more]  # a report has seconds in it


def _command(words: Words, fault: str = "none", **env: str) -> dict[str, Any]:
    out = str(words[words.index("--out") + 1])
    return {"words": [str(each) for each in words], "out": out, "fault": fault, "env": env}


def _rehearse(folder: Path, cpus: list[int], *commands: Told, **env: str) -> list[Told]:
    """Run commands on a cluster of these nodes; see :mod:`tests.engines.rehearsal`."""
    lonely = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    require_namespaces(*lonely)
    (folder / "asked.json").write_text(json.dumps({"cpus": cpus, "commands": commands}))
    words = (*lonely, BIN / "python", "-m", "tests.engines.rehearsal", folder / "asked.json")
    with running(*words, cwd=ROOT, **env) as command:
        ended = command.ended(400)
        assert ended.returncode == 0, ended.stderr
        # Of a cluster without a head, workers may stay, which are killed below; of ncf, nobody.
        left = [" ".join(each.cmdline()) for each in command.processes()]
        assert not [each for each in left if "ray_driver" in each or "ncf.cli" in each]
    told: list[Told] = json.loads(ended.stdout)
    return told


def _same(first: Path, second: Path) -> None:
    run = open_runs(first).latest()
    assert open_runs(second).latest() == run
    assert parts(str(first), run) == parts(str(second), run)
    assert facts(str(first), run) == facts(str(second), run)


def _one_line(told: Told) -> str:
    """What a command complains of, in one line and without a traceback."""
    assert "Traceback" not in told["err"]
    (line,) = [each for each in told["err"].splitlines() if each.startswith("ncf: ")]
    return str(line)


def test_batches_on_a_cluster_give_the_bytes_of_threads(
    screened_bundle: Bundle, narrow_bundle: Bundle, night: dict[str, str], tmp_path: Path
) -> None:
    far, near = f"file://{screened_bundle.path}", screened_bundle.path
    files = [w for name in night for w in (f"--{name.replace('_', '-')}", night[name])]
    exact = ["-k", 5, "--mode", "exact", "--shard-users", 37]
    variants: dict[str, tuple[object, Words]] = {
        "plain": (near, exact),
        "files and a URI": (far, [*exact, *files]),
        "popular": (near, [*exact, "--seen", night["seen"], "--cold-user", "popular"]),
        "skipping": (near, [*exact, "--seen", night["seen"], "--cold-user", "skip"]),
        "listed": (near, [*exact, *files, "--layout", "list", "--workers", 2]),
        "screened and a URI": (
            far,
            ["-k", 5, "--mode", "screened", "--recall", 0.9, "--seen", night["seen"]],
        ),
        "two tries": (narrow_bundle.path, ["-k", 10, "--mode", "screened", "--recall", 0.95]),
    }
    asked = [
        _command(_words(bundle, tmp_path / "ray" / name, *more), NCF_CACHE=str(tmp_path / "head"))
        for name, (bundle, more) in variants.items()
    ]
    told = _rehearse(tmp_path, [2], *asked, NCF_CACHE=str(tmp_path / "node"))
    assert [(each["code"], each["err"]) for each in told if each["code"]] == []
    for name, (bundle, more) in variants.items():
        here = str(bundle).removeprefix("file://")
        words = [str(each) for each in _words(here, tmp_path / "one" / name, *more)]
        subprocess.run([ROOT / ".venv/bin/ncf", *words], check=True, capture_output=True)
        _same(tmp_path / "ray" / name, tmp_path / "one" / name)
    for machine in ("head", "node"):  # each has made a copy of its own
        copies = (tmp_path / machine / "bundles").glob("[0-9a-f]*")
        assert [each.name for each in copies] == [screened_bundle.digest]
    runs = open_runs(tmp_path / "ray" / "two tries")
    proof = runs.manifest(runs.latest()).recall
    assert proof is not None
    assert proof.number > 1


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_without_a_node_the_batch_ends_in_a_minute_and_a_half_with_the_same_bytes(
    fault: str, bundle: Bundle, tmp_path: Path
) -> None:
    words = _words(bundle.path, tmp_path / "ray", "--shard-users", 2, "-k", 5, "--json")
    (told,) = _rehearse(tmp_path, [1, 1], _command(words, fault), **SLOW)
    assert told["code"] == 0, told
    assert json.loads(told["out"])["users"] == 40  # Ray prints nothing where figures go
    assert told["seconds"][1] < 90
    ncf.batch(
        bundle.path, out=tmp_path / "one", k=5, shard_users=2, date=DATE, device="cpu", report=False
    )
    _same(tmp_path / "ray", tmp_path / "one")


def test_a_cluster_that_loses_its_head_is_left_and_the_same_command_goes_on(
    bundle: Bundle, tmp_path: Path
) -> None:
    words = _words(bundle.path, tmp_path / "ray", "--shard-users", 2, "-k", 5)
    (told,) = _rehearse(tmp_path, [1, 1], _command(words, "behead"), **SLOW)
    assert told["code"] == TEMPORARY, told
    assert "Ray ended with the cluster (exit code" in _one_line(told)
    ncf.batch(
        bundle.path, out=tmp_path / "ray", k=5, shard_users=2, date=DATE, device="cpu", report=False
    )
    runs = open_runs(tmp_path / "ray")
    assert int(runs.manifest(runs.latest()).parts_reused) >= 3


def test_what_goes_wrong_on_a_node_has_the_exit_code_that_it_has_here(
    bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    asked = _words(f"file://{bundle.path}", tmp_path / "cache", "--patience", 60)
    nodes = {"NCF_CACHE": str(tmp_path / "file"), "NCF_TEST_FAULT": "bug"}
    far, near = _rehearse(
        tmp_path,
        [1],
        _command(asked, NCF_CACHE=str(tmp_path / "head")),
        _command(_words(bundle.path, tmp_path / "bug")),
        **nodes,
        **SLOW,
    )
    assert far["code"] == BAD_INPUT, far
    assert f"{tmp_path}/file/bundles" in (line := _one_line(far))
    assert "(on " in line
    assert near["code"] == FAULT
    assert "ZeroDivisionError: on purpose" in near["err"]


def test_a_cluster_without_a_node_for_a_task_and_one_that_gives_no_part_are_given_up(
    bundle: Bundle, tmp_path: Path
) -> None:
    wide = _words(bundle.path, tmp_path / "wide", "--workers", 3, "--patience", 4)
    slow = _words(bundle.path, tmp_path / "slow", "--patience", 8)
    env = {**SLOW, "NCF_TEST_SECONDS": "100"}
    none, late = _rehearse(tmp_path, [1], _command(wide), _command(slow), **env)
    assert none["code"] == late["code"] == TEMPORARY, (none, late)
    assert "no node of the cluster has had 3 CPUs for 4 s" in _one_line(none)
    assert "no receipt came for 8 s, and 1 parts are being made" in _one_line(late)


def test_a_cluster_of_its_own_listens_on_loopback_and_leaves_no_process(
    bundle: Bundle, tmp_path: Path
) -> None:
    wide = ("--workers", usable_cores() + 1)  # Ray's CPUs need not be there
    words = _words(bundle.path, tmp_path / "ray", "--shard-users", 10, "-k", 5, "--json", *wide)
    env = {"TMPDIR": str(tmp_path), "RAY_ADDRESS": "127.0.0.1:1"}  # of others: not looked at
    with running(BIN / "ncf", *words, "--engine", "ray", cwd=tmp_path, **env) as command:
        heard = set[str]()
        while command.runs():
            heard |= command.addresses()
        ended = command.ended()
        assert ended.returncode == 0, ended.stderr
        assert command.gone(1), command.processes()
    assert {each.removeprefix("::ffff:") for each in heard} <= {"127.0.0.1", "::1"}
    assert heard
    assert json.loads(ended.stdout)["parts_reused"] == 0
    assert list(tmp_path.glob("ncf-ray-*")) == []
    ncf.batch(
        bundle.path, out=tmp_path / "one", k=5, shard_users=10, date=DATE, device="cpu",
        report=False,
    )  # fmt: skip
    _same(tmp_path / "ray", tmp_path / "one")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", ["it starts", "it works"])
def test_a_signal_ends_it_with_its_cluster_and_the_next_goes_on(
    bundle: Bundle, tmp_path: Path, number: signal.Signals, when: str
) -> None:
    out = tmp_path / "topk"
    words = _words(bundle.path, out, "--shard-users", 1, "-k", 5)
    with running(BIN / "ncf", *words, "--engine", "ray", cwd=tmp_path, **SLOW) as command:
        if when == "it works":
            wait_for(3, out, command)
        else:
            while len(command.processes()) < 4:
                assert command.runs(), command.ended()
        command.send(number)
        ended = command.ended(60)
        assert ended.returncode == INTERRUPTED, ended.stderr
        assert command.gone(1), command.processes()
    assert "parts finished; the same command continues from them" in ended.stderr
    assert "Traceback" not in ended.stderr
    found = ncf.batch(
        bundle.path, out=out, k=5, shard_users=1, date=DATE, device="cpu", report=False
    )
    assert (int(found.figures["parts_reused"]) >= 3) == (when == "it works")


@pytest.mark.parametrize(
    ("address", "code", "message"),
    [
        ("auto", BAD_INPUT, "--address 'auto' is no address of a Ray cluster; give HOST:PORT"),
        ("ray://head:10001", BAD_INPUT, "is one of Ray Client, which cannot be used here"),
        ("127.0.0.1:9", TEMPORARY, "cannot reach Ray at 127.0.0.1:9 ("),
    ],
)
def test_an_address_that_is_none_is_refused_and_a_dead_one_found_at_once(
    bundle: Bundle, tmp_path: Path, address: str, code: int, message: str
) -> None:
    words = _words(bundle.path, tmp_path / "topk", "--engine", "ray", "--address", address)
    with running(BIN / "ncf", *words, cwd=tmp_path) as command:
        ended = command.ended(60)
        assert command.gone(1)
    assert ended.returncode == code
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
