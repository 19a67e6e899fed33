import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.job import Job
from batch.manifest import RUN
from batch.pipeline import run_batch
from batch.published import read_latest
from batch.runs import open_runs
from batch.shards import plan
from batch.verify import verify_run
from ncf.artifacts import open_sealed, seal
from ncf.data.prepared import PreparedData
from ncf.devices import Device
from ncf.errors import ArtifactError, LockedError, UsageError
from ncf.locks import writer_lock
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.manifest import BUNDLE
from ncf.scoring.queries import Wishes
from ncf.scoring.recommend import Recommender
from ncf.training.checkpoint import Checkpoint
from tests.oracles import best_unseen, numpy_logit

TABLE = [
    ("user_id", "string", False),
    ("rank", "int16", False),
    ("item_id", "string", False),
    ("score", "float", True),
    ("policy", "string", False),
]
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def _run(bundle: Bundle, out: Path, *, k: int = 10, shard_users: int = 50_000) -> Path:
    job = Job(bundle.path, out, k, Device.CPU, shard_users)
    return out / str(run_batch(job, NOW)["run"])


def _latest(out: Path) -> Path:
    return out / open_runs(out).latest()


def test_the_table_is_every_users_best_unseen_items_by_raw_id(
    bundle: Bundle, checkpoint: Checkpoint, data: PreparedData, tmp_path: Path
) -> None:
    _run(bundle, tmp_path, k=5, shard_users=7)
    table = read_latest(tmp_path)
    known = data.interactions()
    for user, raw in enumerate(data.users.raw):
        seen = set(known.items[known.users == user].tolist())
        scores = {i: numpy_logit(checkpoint.weights, user, i) for i in range(len(data.items))}
        rows = table[table.user_id == raw].sort_values("rank")
        assert rows["rank"].tolist() == [1, 2, 3, 4, 5]
        expected = best_unseen(scores, seen, 5)
        assert rows.item_id.tolist() == [data.items.raw[item] for item in expected]
        np.testing.assert_allclose(rows.score, [scores[item] for item in expected], atol=1e-5)
    assert set(table.policy) == {"model"}
    assert len(table) == 5 * len(data.users)


def test_k_above_what_is_unseen_gives_fewer_rows_and_never_a_seen_item(
    bundle: Bundle, data: PreparedData, tmp_path: Path
) -> None:
    _run(bundle, tmp_path, k=1000)
    table = read_latest(tmp_path)
    known = data.interactions()
    seen = {
        (data.users.raw[user], data.items.raw[item])
        for user, item in zip(known.users, known.items, strict=True)
    }
    pairs = set(zip(table.user_id, table.item_id, strict=True))
    assert not pairs & seen
    assert len(pairs) == len(table) == len(data.users) * len(data.items) - len(seen)


def test_the_run_folder_is_what_the_contract_says(bundle: Bundle, tmp_path: Path) -> None:
    folder = _run(bundle, tmp_path, shard_users=15)
    parts = [f"part-0000{number}.parquet" for number in range(3)]
    assert sorted(p.name for p in folder.iterdir()) == [
        "_SUCCESS",
        "_manifest.json",
        "_users.parq",
        *parts,
    ]
    assert (tmp_path / "LATEST").read_text() == f"{folder.name}\n"
    manifest = open_sealed(folder, RUN)
    assert manifest.inputs == {"bundle": bundle.digest}
    assert (manifest.users, manifest.rows) == (40, 400)
    for part in parts:
        schema = pq.read_schema(folder / part)
        assert [(field.name, str(field.type), field.nullable) for field in schema] == TABLE
    assert sum(manifest.rows_by_part.values()) == 400


@settings(max_examples=20, deadline=None)
@given(users=st.integers(0, 50), size=st.integers(1, 60))
def test_shards_hold_every_user_once_in_order(users: int, size: int) -> None:
    shards = list(plan(users, size))
    assert [user for shard in shards for user in range(shard.start, shard.stop)] == list(
        range(users)
    )
    assert [shard.number for shard in shards] == list(range(len(shards)))


def test_the_rows_do_not_depend_on_the_shards(bundle: Bundle, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    _run(bundle, whole)
    _run(bundle, cut, shard_users=3)
    pd.testing.assert_frame_equal(read_latest(whole), read_latest(cut))


def test_the_same_inputs_give_the_same_bytes_whatever_the_workers(
    bundle: Bundle, tmp_path: Path
) -> None:
    first = _run(bundle, tmp_path)
    for workers in (1, 3):
        job = Job(bundle.path, tmp_path, 10, Device.CPU, workers=workers)
        other = tmp_path / str(run_batch(job, NOW)["run"])
        assert first != other
        name = "part-00000.parquet"
        assert (first / name).read_bytes() == (other / name).read_bytes()


def test_batch_and_recommend_give_the_same_answer(bundle: Bundle, tmp_path: Path) -> None:
    _run(bundle, tmp_path, k=4)
    table = read_latest(tmp_path)
    recommender = Recommender(bundle, ExactRanker.open(bundle))
    for raw in bundle.users.raw[:10]:
        rows = table[table.user_id == raw]
        found = [(item.item, item.score) for item in recommender.recommend(raw, Wishes(4)).items]
        assert found == list(zip(rows.item_id, rows.score.astype(float), strict=True))


def test_latest_follows_the_newest_publish_even_when_the_clock_went_back(
    bundle: Bundle, tmp_path: Path
) -> None:
    job = Job(bundle.path, tmp_path, 3, Device.CPU)
    run_batch(job, NOW)
    second = run_batch(job, NOW - timedelta(days=400))
    assert _latest(tmp_path).name == second["run"]


def test_a_second_batch_is_refused_with_the_pid(bundle: Bundle, tmp_path: Path) -> None:
    holder = "import sys, time, pathlib, ncf.locks as f\n"
    holder += (
        "with f.writer_lock(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", holder, str(tmp_path / "runs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(LockedError, match=f"pid {process.pid}"):
            _run(bundle, tmp_path)
        process.kill()
    _run(bundle, tmp_path)


def test_a_bundle_that_changes_during_the_run_is_refused_at_publish(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _run(bundle, tmp_path)
    copy = Path(shutil.copytree(bundle.path, tmp_path / "ncf"))
    rank = ExactRanker.rank

    def change(self: ExactRanker, *arguments: Any) -> object:  # noqa: ANN401 - passed on
        (copy / "bundle.json").write_text("{}")
        return rank(self, *arguments)

    monkeypatch.setattr(ExactRanker, "rank", change)
    with pytest.raises(ArtifactError):
        run_batch(Job(copy, tmp_path, 3, Device.CPU), NOW)
    assert _latest(tmp_path) == first
    assert [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_another_sound_bundle_swapped_in_during_the_run_is_refused_at_publish(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(bundle.path, tmp_path / "ncf"))
    rank = ExactRanker.rank

    def swap(self: ExactRanker, *arguments: Any) -> object:  # noqa: ANN401 - passed on
        document = json.loads((copy / "bundle.json").read_bytes())
        document["provenance"]["created"] = "just now"
        seal(copy, BUNDLE, document)
        open_bundle(copy)
        return rank(self, *arguments)

    monkeypatch.setattr(ExactRanker, "rank", swap)
    with pytest.raises(ArtifactError, match="changed during the run"):
        run_batch(Job(copy, tmp_path / "topk", 3, Device.CPU), NOW)
    assert not (tmp_path / "topk" / "LATEST").exists()


_RUN = """
import sys, os
from datetime import UTC, datetime
from pathlib import Path
import batch.parts
from batch.job import Job
from batch.pipeline import run_batch
from ncf.devices import Device
write, left = batch.parts.write_lists, int(sys.argv[3])
def dying(*arguments):
    global left
    write(*arguments)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), 9)
batch.parts.write_lists = dying
bundle, out = map(Path, sys.argv[1:3])
run_batch(Job(bundle, out, device=Device.CPU, shard_users=5), datetime.now(UTC))
"""


def _parts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("part-*.parquet")}


@pytest.mark.parametrize("shard", [1, 4, 8])
def test_a_batch_killed_in_a_shard_goes_on_from_the_whole_ones_to_the_same_bytes(
    shard: int, bundle: Bundle, tmp_path: Path
) -> None:
    undisturbed = _parts(_run(bundle, tmp_path / "whole", shard_users=5))
    first = _run(bundle, tmp_path / "topk", shard_users=40)
    command = [sys.executable, "-c", _RUN, str(bundle.path), str(tmp_path / "topk"), str(shard)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert _latest(tmp_path / "topk") == first
    open_sealed(first, RUN)
    job = Job(bundle.path, tmp_path / "topk", 10, Device.CPU, 5)
    report = run_batch(job, NOW)
    # Two shards run side by side: the one beside the killed one may have been unfinished.
    assert shard - 2 <= report["parts_reused"] < 8
    assert _parts(_latest(tmp_path / "topk")) == undisturbed
    names = {path.name for path in (tmp_path / "topk").iterdir()}
    assert names == {".runs.lock", "LATEST", "_history", first.name, report["run"]}


def test_a_batch_killed_at_any_moment_leaves_a_run_that_verifies_and_loses_no_bytes(
    bundle: Bundle, tmp_path: Path
) -> None:
    undisturbed = _parts(_run(bundle, tmp_path / "whole", shard_users=5))
    out = tmp_path / "topk"
    _run(bundle, out, shard_users=5)
    command = [sys.executable, "-c", _RUN, str(bundle.path), str(out), "0"]
    for moment in np.linspace(0, 0.4, 5):
        lock = out / ".runs.lock.pid"
        with subprocess.Popen(command) as process:
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(FileNotFoundError):
                    if lock.read_text().strip() == str(process.pid):
                        break
                time.sleep(0.001)
            time.sleep(moment)
            process.kill()
        verify_run(_latest(out), bundle.path)
    _run(bundle, out, shard_users=5)
    verify_run(_latest(out), bundle.path)
    assert _parts(_latest(out)) == undisturbed


def test_other_inputs_begin_anew(bundle: Bundle, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _RUN, str(bundle.path), str(tmp_path), "4"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    report = run_batch(Job(bundle.path, tmp_path, 3, Device.CPU, 5), NOW)
    assert report["parts_reused"] == 0
    assert set(read_latest(tmp_path)["rank"]) == {1, 2, 3}


def test_parts_of_another_onnx_runtime_are_not_mixed_in(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", _RUN, str(bundle.path), str(tmp_path), "4"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    monkeypatch.setattr("onnxruntime.__version__", "0.0")
    assert run_batch(Job(bundle.path, tmp_path, 10, Device.CPU, 5), NOW)["parts_reused"] == 0


def test_a_part_that_was_damaged_before_the_resume_is_made_again(
    bundle: Bundle, tmp_path: Path
) -> None:
    undisturbed = _parts(_run(bundle, tmp_path / "whole", shard_users=5))
    command = [sys.executable, "-c", _RUN, str(bundle.path), str(tmp_path / "topk"), "4"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (part,) = (tmp_path / "topk" / ".ncf-batch").glob("*/parts/part-00001.parquet")
    content = bytearray(part.read_bytes())
    content[50] ^= 1
    part.write_bytes(content)
    report = run_batch(Job(bundle.path, tmp_path / "topk", 10, Device.CPU, 5), NOW)
    assert report["parts_reused"] in {1, 2}
    assert _parts(_latest(tmp_path / "topk")) == undisturbed


@pytest.mark.parametrize("k", [0, -3, 40_000])
def test_k_out_of_range_is_refused(k: int, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        _run(bundle, tmp_path, k=k)
    assert list(tmp_path.iterdir()) == []


def test_nothing_published_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no run"):
        _latest(tmp_path)
    assert open_runs(tmp_path / "not made yet").names() == []


def test_a_damaged_bundle_publishes_nothing(bundle: Bundle, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle.path, tmp_path / "ncf"))
    document = json.loads((copy / "bundle.json").read_bytes())
    assert document["files"]
    (copy / "seen.npz").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"seen\.npz"):
        run_batch(Job(copy, tmp_path / "topk"), NOW)
    with pytest.raises(ArtifactError, match="no run"):
        _latest(tmp_path / "topk")


def test_the_lock_is_free_after_a_failed_run(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        run_batch(Job(tmp_path / "none", tmp_path), NOW)
    with writer_lock(tmp_path / "runs"):
        pass
    _run(bundle, tmp_path)
