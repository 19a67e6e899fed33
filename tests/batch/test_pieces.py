"""A batch in pieces: the same bytes and manifest as in one, wherever and however often."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from batch.audience import read_audience
from batch.audience_file import audience_bytes, open_audience
from batch.filters import Filters
from batch.job import Job
from batch.options import Layout, Mode, TableFormat
from batch.pieces import commit_batch
from batch.pipeline import plan_batch, run_batch
from batch.places import open_place
from batch.runs import open_runs
from batch.selection import read_selection
from batch.sessions import Session, work
from batch.tables import Style
from batch.verify import verify_run
from ncf.api.plans import work_batch
from ncf.devices import Device
from ncf.errors import ArtifactError, UsageError
from ncf.policies import Strangers
from ncf.scoring.bundle import Bundle
from tests.batch.pieces import NOW, current, facts, in_pieces, parts, unfinished
from tests.commands import ncf, refused

NCF = [sys.executable, "-c", "from ncf.cli import main; main()"]


def _job(bundle: Bundle, out: str | Path, **more: Any) -> Job:  # noqa: ANN401 - options of a job
    options: dict[str, Any] = {"mode": Mode.EXACT, **more}
    return Job(bundle.path, out, 5, Device.CPU, 37, **options)


def _files(bundle: Bundle, folder: Path) -> Filters:
    users, items = list(bundle.users.raw), list(bundle.items.raw)
    seen = [(user, items[place % 30]) for place, user in enumerate(users[:40])]
    seen += [(f"zoe {n}", items[3 * place]) for n in range(30) for place in range(n % 6)]
    names = ["user_id", "item_id"]
    pd.DataFrame(seen, columns=names).to_csv(folder / "seen.csv", index=False)
    pairs = pd.DataFrame([(user, items[7]) for user in users[:9]], columns=names)
    pairs.to_csv(folder / "pairs.csv", index=False)
    asked = [*users[::2], "zoe 3", "zoe 29", "nobody"]
    pd.DataFrame({"user_id": asked}).to_csv(folder / "users.csv", index=False)
    pd.DataFrame({"item_id": items[:2]}).to_csv(folder / "out.csv", index=False)
    return Filters(
        seen=folder / "seen.csv",
        users=folder / "users.csv",
        exclude_items=folder / "out.csv",
        exclude_pairs=folder / "pairs.csv",
    )


def _plain(_: Bundle, __: Path) -> dict[str, Any]:
    return {}


def _with_files(bundle: Bundle, folder: Path) -> dict[str, Any]:
    return {"filters": _files(bundle, folder)}


def _with_strangers(bundle: Bundle, folder: Path) -> dict[str, Any]:
    return {"filters": Filters(seen=_files(bundle, folder).seen)}


def _skipping(bundle: Bundle, folder: Path) -> dict[str, Any]:
    filters = Filters(seen=_files(bundle, folder).seen, strangers=Strangers.SKIP)
    return {"filters": filters, "style": Style(TableFormat.CSV)}


def _listed(bundle: Bundle, folder: Path) -> dict[str, Any]:
    return {**_with_files(bundle, folder), "style": Style(layout=Layout.LIST)}


def _screened(bundle: Bundle, folder: Path) -> dict[str, Any]:
    return {**_with_strangers(bundle, folder), "mode": Mode.SCREENED, "recall": 0.9}


Options = Callable[[Bundle, Path], dict[str, Any]]


@pytest.mark.parametrize(
    "options", [_plain, _with_files, _with_strangers, _skipping, _listed, _screened]
)
def test_pieces_in_any_order_and_twice_give_the_bytes_and_the_manifest_of_one_batch(
    options: Options, screened_bundle: Bundle, tmp_path: Path
) -> None:
    job = _job(screened_bundle, tmp_path / "one", **options(screened_bundle, tmp_path))
    one = run_batch(job, NOW)
    apart = in_pieces(replace(job, out=tmp_path / "apart"), shuffled=True)
    assert parts(str(tmp_path / "apart"), apart["run"]) == parts(str(tmp_path / "one"), one["run"])
    assert facts(str(tmp_path / "apart"), apart["run"]) == facts(str(tmp_path / "one"), one["run"])
    verify_run(apart["table"], screened_bundle.path, job.filters)


def test_a_bucket_holds_the_same_and_nothing_else_at_the_end(
    out: str, screened_bundle: Bundle, tmp_path: Path
) -> None:
    job = _job(screened_bundle, tmp_path / "one", **_screened(screened_bundle, tmp_path))
    one = run_batch(job, NOW)
    apart = in_pieces(replace(job, out=out), shuffled=True)
    assert parts(out, apart["run"]) == parts(str(tmp_path / "one"), one["run"])
    assert facts(out, apart["run"]) == facts(str(tmp_path / "one"), one["run"])
    assert unfinished(out) == []
    assert open_runs(out).names() == open_runs(out).taken() == [apart["run"]]


def test_processes_of_a_scheduler_make_the_table_and_the_manifest_says_who_made_what(
    bundle: Bundle, tmp_path: Path
) -> None:
    words = ["--bundle", bundle.path, "--shard-users", 7, "-k", 5, "--device", "cpu", "--json"]
    planned = json.loads(ncf("batch", "plan", "--out", "topk", *words, cwd=tmp_path).out)
    assert (planned["users"], planned["shards"], planned["mode"]) == (40, 6, "exact")
    workers = [
        subprocess.Popen(
            [*NCF, "batch", "work", "--out", "topk", "--shard", shards, "--workers", "1"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        )
        for shards in ("3..5", "0/2")
    ]
    told = [worker.communicate(timeout=120)[0] for worker in workers]
    assert told == ["3 parts, 95 rows\n", "3 parts, 105 rows\n"]
    assert {worker.returncode for worker in workers} == {0}
    ended = ncf("batch", "commit", "--out", "topk", "--keep", 2, "--json", cwd=tmp_path)
    assert ended.code == 0, ended
    name = json.loads(ended.out)["run"]
    assert name == planned["run"]
    one = run_batch(Job(bundle.path, tmp_path / "one", 5, Device.CPU, 7), NOW)
    assert parts(str(tmp_path / "topk"), name) == parts(str(tmp_path / "one"), one["run"])
    manifest = open_runs(tmp_path / "topk").manifest(name)
    assert manifest.hosts is not None
    (share,) = manifest.hosts.values()
    assert share.parts == "0-5"
    assert share.instruction_set
    again = ncf("batch", "commit", "--out", "topk", "--plan", planned["plan"], cwd=tmp_path)
    assert again.code == 0, again
    assert name in again.out


def test_the_audience_beside_the_plan_is_the_one_of_the_files(
    screened_bundle: Bundle, tmp_path: Path
) -> None:
    filters = _files(screened_bundle, tmp_path)
    plan = plan_batch(_job(screened_bundle, tmp_path / "topk", filters=filters), NOW)
    for path in filters.files().values():
        path.unlink()  # no worker reads them
    found = open_audience(open_place(tmp_path / "topk"), plan)
    _files(screened_bundle, tmp_path)
    wanted = read_audience(screened_bundle, filters)
    assert len(found) == len(wanted) == plan.users
    for start, stop in ((0, 20), (15, len(wanted))):
        ranked = wanted.ranked(start, stop)
        assert found.raw_ids(found.ranked(start, stop)) == wanted.raw_ids(ranked)
        assert found.raw_ids(found.others(start, stop)) == wanted.raw_ids(
            wanted.others(start, stop)
        )
        assert found.policies(start, stop) == wanted.policies(start, stop)
        assert (found.rows[ranked] == wanted.rows[ranked]).all()
        pairs = [each.eligibility.excluded(ranked) for each in (found, wanted)]
        assert sorted(map(tuple, pairs[0])) == sorted(map(tuple, pairs[1]))
    assert (found.eligibility.items == wanted.eligibility.items).all()
    twice = [audience_bytes(read_selection(screened_bundle, filters)) for _ in range(2)]
    assert twice[0] == twice[1]


def test_planning_again_goes_on_and_other_inputs_give_the_plan_up(
    out: str, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    first = plan_batch(_job(bundle, out), NOW)
    work(first, 1, out)
    assert plan_batch(_job(bundle, out), NOW) == first
    other = plan_batch(replace(_job(bundle, out), k=3), NOW)
    assert f"giving up plan {first.folder}, with 1 of 2 parts done" in caplog.text
    with pytest.raises(ArtifactError, match=f"plan {first.folder} is closed"):
        work(first, 0, out)
    assert current(out) == other
    assert open_runs(out).names() == []
    assert [path for path in unfinished(out) if first.folder in path] == []


def test_a_batch_goes_on_where_its_bundle_and_its_files_have_moved_to(
    out: str, bundle: Bundle, tmp_path: Path
) -> None:
    before, now = tmp_path / "before", tmp_path / "now"
    before.mkdir()
    shutil.copytree(bundle.path, before / "ncf")
    (before / "seen.csv").write_text("user_id,item_id\nu1,film 3\n")
    options: dict[str, Any] = {"filters": Filters(seen=before / "seen.csv")}
    first = plan_batch(replace(_job(bundle, out, **options), bundle=before / "ncf"), NOW)
    work(first, 1, out)
    before.rename(now)  # as where each attempt downloads them to a folder of its own
    options = {"filters": Filters(seen=now / "seen.csv")}
    found = run_batch(replace(_job(bundle, out, **options), bundle=now / "ncf"), NOW)
    assert (found["run"], found["parts_reused"]) == (first.run, 1)


def test_a_worker_refuses_another_bundle_and_other_versions(
    bundle: Bundle, screened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, place = plan_batch(_job(bundle, tmp_path), NOW), open_place(tmp_path)
    with pytest.raises(ArtifactError, match=r"is another bundle .* than the plan's"):
        Session.open(place, plan, screened_bundle.path)
    monkeypatch.setattr("pyarrow.__version__", "1.0")
    with pytest.raises(ArtifactError, match=r"pyarrow is 1\.0 here and .* in the plan"):
        Session.open(place, plan)
    monkeypatch.undo()
    monkeypatch.setattr("onnxruntime.__version__", "1.0")
    with pytest.raises(ArtifactError, match="onnxruntime is"):
        Session.open(place, plan)


def test_a_worker_opens_its_plan_once(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, opened = plan_batch(replace(_job(bundle, tmp_path), shard_users=7), NOW), []
    real = Session.open.__func__  # type: ignore[attr-defined]  # of a class method

    def watched(cls: type[Session], *arguments: object) -> Session:
        opened.append(arguments)
        session: Session = real(cls, *arguments)
        return session

    monkeypatch.setattr(Session, "open", classmethod(watched))
    for number in (0, 3, 0, 2):
        work(plan, number, tmp_path)
    assert len(opened) == 1


def test_an_input_that_changed_since_the_plan_is_refused_and_its_return_is_not(
    out: str, bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "seen.csv").write_text("user_id,item_id\nu1,film 3\n")
    plan = plan_batch(_job(bundle, out, filters=Filters(seen=tmp_path / "seen.csv")), NOW)
    for number in range(plan.shards):
        work(plan, number, out)
    (tmp_path / "seen.csv").write_text("user_id,item_id\nu1,film 5\n")
    with pytest.raises(ArtifactError, match=r"seen\.csv: changed during the run"):
        commit_batch(out)
    assert open_runs(out).latest_or_none() is None
    (tmp_path / "seen.csv").write_text("user_id,item_id\nu1,film 3\n")
    assert commit_batch(out)["run"] == plan.run


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["work", "--out", "none"], "nothing is planned here"),
        (["commit", "--out", "none"], "nothing is planned here"),
        (["work", "--out", "topk", "--shard", "2"], "--shard 2 is not one of the plan's 2"),
        (["work", "--out", "topk", "--shard", "1..2"], "--shard 2 is not one of the plan's 2"),
        (["work", "--out", "topk", "--shard", "one"], "--shard 'one' is not I, I..J or I/N"),
        (["work", "--out", "topk", "--shard", "4/4"], "--shard 4/4: no such share"),
        (["work", "--out", "topk", "--shard", "1..0"], "--shard 1..0: ends before it starts"),
        (
            ["work", "--out", "topk", "--shard", "0..99999999999999"],
            "--shard 99999999999999 is not one of the plan's 2",
        ),
        (["work", "--out", "topk", "--plan", "0123"], "plan 0123 is closed"),
        (["commit", "--out", "topk"], "part-00000.parquet has no receipt (2 of 2"),
        (["commit", "--out", "topk", "--keep", "-1"], "--keep -1 is less than 0"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: list[str], told: str, bundle: Bundle, tmp_path: Path
) -> None:
    plan_batch(_job(bundle, tmp_path / "topk"), NOW)
    assert told in refused("batch", *words, cwd=tmp_path)


def test_shards_are_whole_numbers_of_any_kind(bundle: Bundle, tmp_path: Path) -> None:
    plan_batch(_job(bundle, tmp_path / "topk"), NOW)
    for given in ([1.0], ["1"], 0.5, [None]):
        with pytest.raises(UsageError, match="holds what is no whole number"):
            work_batch(tmp_path / "topk", cast("Any", given))
    made = [work_batch(tmp_path / "topk", cast("Any", each)) for each in (np.arange(2), True)]
    assert [[receipt["shard"] for receipt in each] for each in made] == [[0, 1], [1]]
    commit_batch(tmp_path / "topk")


def test_options_of_another_kind_of_command_are_refused_before_it(tmp_path: Path) -> None:
    line = refused("batch", "--out", "x", "commit", cwd=tmp_path)
    assert "--out comes before 'commit'" in line


def test_python_and_the_command_line_do_the_same(bundle: Bundle, tmp_path: Path) -> None:
    import ncf as library  # noqa: PLC0415 - as a user does

    out = str(tmp_path / "topk")
    plan = library.plan_batch(bundle.path, out=out, shard_users=15, device="cpu")
    frame = pd.DataFrame({"user_id": ["u1"], "item_id": ["film 3"]})
    fresh = library.plan_batch(bundle.path, out=out, shard_users=15, device="cpu", seen=frame)
    assert plan["shards"] == fresh["shards"] == 3
    receipts = library.work_batch(out, [2, 0], plan=fresh["plan"])
    assert [receipt["shard"] for receipt in receipts] == [0, 2]
    library.work_batch(out, "1", plan=fresh["plan"])
    run = library.commit_batch(out, plan=fresh["plan"])
    table = run.frame()
    assert "film 3" not in set(table[table.user_id == "u1"].item_id)
    assert library.commit_batch(out, plan=fresh["plan"]).name == run.name
    library.plan_batch(bundle.path, out=out, shard_users=15, device="cpu")
    with pytest.raises(UsageError, match="`shards` 9 is not one"):
        library.work_batch(out, 9)
