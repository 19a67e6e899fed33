"""Gates: what they catch and let pass, and where a run that fails one goes."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

import ncf
from batch.filters import Filters
from batch.gates import DEFAULT, read_gates
from batch.judging import Candidate, judge
from batch.manifest import FileCounts
from batch.reading import published
from batch.runs import held_runs, open_runs
from batch.verify import verify_run
from ncf.errors import HELD, ArtifactError, GateError
from ncf.scoring.bundle import Bundle
from tests.batch.written import Listed, Table, write_run
from tests.commands import done, refused
from tests.commands import ncf as command

NIGHT = "202611{:02d}T030000Z-aaaaaaaa"
STRICT = "[ratio]\nusers = {min = 0.9}\n[table]\nrows = {min = 1}\n"


def table_of(rng: np.random.Generator, users: int = 300, k: int = 8) -> Table:
    """Lists of tastes: three groups of users, each with favourites of its own."""
    found: Table = {}
    for user in range(users):
        weights = np.ones(60)
        weights[20 * (user % 3) : 20 * (user % 3) + 12] = 40
        items = rng.choice(60, k, replace=False, p=weights / weights.sum())
        scores = np.sort(rng.normal(size=k))[::-1]
        found[f"user {user}"] = Listed(tuple(f"item {i}" for i in items), tuple(scores.tolist()))
    return found


def next_night(table: Table, rng: np.random.Generator, number: int) -> Table:
    """A few users come and go, and each list changes at some places."""
    gone = set(rng.choice(sorted(table), 4, replace=False))
    found: Table = {}
    for user, listed in table.items():
        if user in gone:
            continue
        items = list(listed.items)
        for at in rng.choice(len(items), 3, replace=False):
            new = f"item {rng.integers(60)}"
            items[at] = items[at] if new in items else new
        scores = sorted(rng.normal(size=len(items)).tolist(), reverse=True)
        found[user] = Listed(tuple(items), tuple(scores))
    come = list(table_of(rng, 6).values())
    return {**found, **{f"new {number} {n}": each for n, each in enumerate(come)}}


def half_missing(table: Table) -> Table:
    return dict(list(table.items())[::2])


def all_equal(table: Table) -> Table:
    first = next(iter(table.values()))
    return {user: replace(listed, items=first.items) for user, listed in table.items()}


def shuffled(table: Table) -> Table:
    rng = np.random.default_rng(3)
    ids = sorted({item for listed in table.values() for item in listed.items})
    other = dict(zip(ids, rng.permutation(ids).tolist(), strict=True))
    return {
        user: replace(listed, items=tuple(other[item] for item in listed.items))
        for user, listed in table.items()
    }


def constant(table: Table) -> Table:
    return {
        user: replace(listed, scores=(0.25,) * len(listed.items)) for user, listed in table.items()
    }


def popular(table: Table) -> Table:
    return {user: replace(listed, scores=None) for user, listed in table.items()}


@pytest.fixture
def failures(bundle: Bundle, tmp_path: Path) -> Callable[..., list[str]]:
    """Judge a table by the default gates, against another or none; the gates that fail."""
    file = tmp_path / "gates.toml"
    file.write_text(DEFAULT)

    def judged(
        table: Table, last: Table | None, seen: tuple[str, str] = ("b", "a"), day: int = 2
    ) -> list[str]:
        out = tmp_path / "topk" / str(len(list(tmp_path.glob("topk/*"))))
        names = (NIGHT.format(1), NIGHT.format(day).replace("aaaaaaaa", "bbbbbbbb"))
        for name, each in zip(names, (last, table), strict=True):
            if each is not None:
                write_run(out, name, each, shard_users=64)
        runs = open_runs(out)
        new = published(runs, names[1])
        before = published(runs, names[0]) if last is not None else None
        if before is not None:
            inputs = {**before.manifest.inputs, "seen": seen[1]}
            before = replace(before, manifest=replace(before.manifest, inputs=inputs))
        candidate = Candidate(new.name, None, new.source, FileCounts(), {"seen": seen[0]}, bundle)
        verdict = judge(read_gates(file), candidate, before)
        return [line.partition(":")[0] for line in verdict.failures]

    return judged


def test_ten_ordinary_nights_pass_the_default_gates(failures: Callable[..., list[str]]) -> None:
    rng = np.random.default_rng(11)
    last = table_of(rng)
    assert failures(last, None) == []
    for number in range(10):
        tonight = next_night(last, rng, number)
        assert failures(tonight, last) == []
        last = tonight


@pytest.mark.parametrize(
    ("spoil", "gates"),
    [
        (half_missing, {"ratio users", "ratio rows", "change gone_share"}),
        (all_equal, {"ratio items"}),
        (shuffled, {"change overlap.mean"}),
        (constant, {"table constant_lists"}),
        (popular, {"table popular_share", "change to_popular_share"}),
    ],
)
def test_a_table_that_is_wrong_is_caught(
    spoil: Callable[[Table], Table], gates: set[str], failures: Callable[..., list[str]]
) -> None:
    rng = np.random.default_rng(12)
    last = table_of(rng)
    found = set(failures(spoil(next_night(last, rng, 0)), last))
    assert gates <= found
    of_itself = {name for name in gates if name.startswith("table ")}
    assert set(failures(spoil(last), None)) == of_itself  # a first run has nothing to change from


def test_the_seen_file_of_yesterday_is_caught(failures: Callable[..., list[str]]) -> None:
    rng = np.random.default_rng(13)
    last = table_of(rng)
    assert failures(next_night(last, rng, 0), last, ("same", "same")) == ["change same_seen"]
    assert failures(next_night(last, rng, 1), last, ("same", "same"), day=1) == []  # run again


def _gated(bundle: Bundle, *more: object) -> tuple[object, ...]:
    return ("batch", "--bundle", bundle.path, "-k", 3, "--device", "cpu", "--gate", "g", *more)


@pytest.fixture
def home(bundle: Bundle, tmp_path: Path) -> Path:
    """A published table, gates, and a file with half of the users."""
    (tmp_path / "g").write_text(STRICT)
    half = bundle.users.raw[: bundle.n_users // 2]
    (tmp_path / "half.csv").write_text("user_id\n" + "\n".join(half))
    done(*_gated(bundle, "--metrics-file", "m.prom"), cwd=tmp_path)
    return tmp_path


def _metric(file: Path, name: str) -> float:
    families = text_string_to_metric_families(file.read_text())
    return next(s.value for f in families for s in f.samples if s.name == f"ncf_batch_{name}")


def test_a_run_that_fails_is_set_aside_published_by_hand_and_left_again(
    bundle: Bundle, home: Path
) -> None:
    runs = open_runs(home / "topk")
    first = runs.latest()
    assert _metric(home / "m.prom", "held") == 0
    ended = command(*_gated(bundle, "--users", "half.csv", "--metrics-file", "m.prom"), cwd=home)
    assert (ended.code, ended.out) == (HELD, "")
    assert "gate failed: ratio users: 0.5 is below 0.9" in ended.err
    assert ended.err.count("gate failed") == 1
    assert (runs.latest(), runs.names()) == (first, [first])
    assert (_metric(home / "m.prom", "held"), _metric(home / "m.prom", "success")) == (1, 0)
    (held,) = held_runs(runs).names()
    verify_run(home / "topk" / "_held" / held, bundle.path, Filters(users=home / "half.csv"))
    verdict = json.loads((home / "topk" / "_held" / held / "_gates.json").read_text())
    assert (verdict["passed"], verdict["against"]) == (False, first)
    assert [gate["passed"] for gate in verdict["gates"]] == [False, True]
    found = json.loads(done("diff", first, held, "--json", cwd=home))
    assert found["changes"]["gone"] == bundle.n_users - bundle.n_users // 2
    assert not (home / "topk" / ".ncf-batch").exists()

    assert done("batch", "publish", held, cwd=home) == f"{held}\n"
    assert (runs.latest(), held_runs(runs).names()) == (held, [])
    assert len(ncf.read_latest(home / "topk")) == 3 * (bundle.n_users // 2)
    assert done("batch", "rollback", cwd=home) == f"{first}\n"
    assert sorted(runs.names()) == sorted([first, held])
    assert "no run to go back to" in refused("batch", "rollback", cwd=home)
    assert runs.latest() == first


def test_the_next_gate_compares_with_the_run_that_latest_names(bundle: Bundle, home: Path) -> None:
    for _ in range(2):  # half is as wrong as the first time
        assert command(*_gated(bundle, "--users", "half.csv"), cwd=home).code == HELD
    runs = open_runs(home / "topk")
    done("batch", "publish", held_runs(runs).names()[0], cwd=home)
    done(*_gated(bundle, "--users", "half.csv"), cwd=home)  # and now it is as before
    names = {runs.latest(), ncf.rollback(home / "topk"), ncf.rollback(home / "topk")}
    assert len(names) == 3
    with pytest.raises(ArtifactError, match="no run to go back to"):
        ncf.rollback(home / "topk")


def test_an_older_run_published_by_hand_can_be_left_again(bundle: Bundle, home: Path) -> None:
    for _ in range(2):
        done(*_gated(bundle), cwd=home)
    runs = open_runs(home / "topk")
    first, _, last = sorted(runs.names(), key=runs.sequence)
    ncf.publish(first, home / "topk")
    assert runs.latest() == first
    assert ncf.rollback(home / "topk") == last


def test_runs_set_aside_are_kept_apart_from_the_others(bundle: Bundle, home: Path) -> None:
    runs = open_runs(home / "topk")
    for _ in range(3):
        command(*_gated(bundle, "--users", "half.csv", "--keep", 2), cwd=home)
        done(*_gated(bundle, "--keep", 2), cwd=home)
    assert (len(runs.names()), len(held_runs(runs).names())) == (2, 2)


def test_a_damaged_run_is_not_published_by_hand(bundle: Bundle, home: Path) -> None:
    command(*_gated(bundle, "--users", "half.csv"), cwd=home)
    runs = open_runs(home / "topk")
    (held,) = held_runs(runs).names()
    part = home / "topk" / "_held" / held / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    assert "part-00000.parquet" in refused("batch", "publish", held, cwd=home)
    assert "is not here" in refused("batch", "publish", "20200101T000000Z-00000000", cwd=home)


def test_places_and_pieces_of_any_kind_set_aside(bundle: Bundle, out: str, tmp_path: Path) -> None:
    gates = tmp_path / "g"
    gates.write_text(STRICT)
    first = ncf.batch(bundle.path, out=out, k=2, device="cpu", gate=gates).name
    half = list(bundle.users.raw[: bundle.n_users // 2])
    plan = ncf.plan_batch(bundle.path, out=out, k=2, device="cpu", users=half)
    ncf.work_batch(out)
    for _ in range(2):  # a committer that comes again is told the same
        with pytest.raises(GateError, match="failed 1 of 2 gates"):
            ncf.commit_batch(out, plan=plan["plan"], gate=gates)
    runs = open_runs(out)
    assert (runs.latest(), runs.taken()) == (first, [first])
    assert held_runs(runs).names() == [plan["run"]]
    assert ncf.publish(plan["run"], out) == runs.latest() == plan["run"]
    assert held_runs(runs).taken() == []
    assert len(ncf.read_latest(out)) == 2 * len(half)
    assert ncf.rollback(out) == runs.latest() == first


def test_verify_holds_a_published_run_to_gates(bundle: Bundle, home: Path) -> None:
    done("batch", "--bundle", bundle.path, "--users", "half.csv", "-k", 3, cwd=home)
    run = f"topk/{open_runs(home / 'topk').latest()}"
    words = ("verify", "--run", run, "--bundle", bundle.path, "--users", "half.csv", "--gate")
    ended = command(*words, "g", cwd=home)
    assert (ended.code, ended.out) == (HELD, "")
    assert "ratio users: 0.5 is below 0.9" in ended.err
    (home / "h").write_text("[table]\nrows = {min = 1}\n")
    assert json.loads(done(*words, "h", "--json", cwd=home))["gates"] == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[table]\nuser = {min = 1}", "[table] has an unknown figure 'user'"),
        ("[tables]\nusers = {min = 1}", "has an unknown section 'tables'"),
        ("[table]\nusers = {least = 1}", "[table] users has other limits"),
        ("[table]\nusers = 3", "[table] users has other limits"),
        ("[table]\nusers = {min = nan}", "[table] users has other limits"),
        ("users", "cannot be read"),
        ("", "has no gate"),
    ],
)
def test_a_file_of_gates_that_is_wrong_is_refused_before_the_scoring(
    text: str, said: str, bundle: Bundle, home: Path
) -> None:
    (home / "g").write_text(text)
    assert said in refused(*_gated(bundle), cwd=home)


def test_the_file_that_is_printed_is_a_file_of_gates(home: Path) -> None:
    (home / "printed.toml").write_text(done("init", "gates", cwd=home))
    assert len(read_gates(home / "printed.toml")) > 8
    everything = "\n".join(
        line.removeprefix("# ") if " = {m" in line and not line.startswith("# A") else line
        for line in DEFAULT.splitlines()
    )
    (home / "all.toml").write_text(everything)
    assert len(read_gates(home / "all.toml")) == len(read_gates(home / "printed.toml")) + 4


@pytest.mark.slow
def test_a_kill_at_any_file_operation_leaves_latest_right(bundle: Bundle, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.faults.kill_gates", str(bundle.path), str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    report = json.loads(ended.stdout)
    assert report.keys() == {"publish", "rollback", "set aside", "passing"}
    for name, found in report.items():
        assert found["problems"] == [], name
        assert found["kills"] == found["operations"] > 3, name
