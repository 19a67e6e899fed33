"""Formats and layouts, retention, reading, figures and log lines."""

import json
import logging
import re
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.job import Job
from batch.memory import peak_memory
from batch.metrics import last_success, metrics_of
from batch.options import Layout, TableFormat
from batch.pipeline import run_batch
from batch.published import read_latest
from batch.runs import open_runs
from batch.show import rows_of
from batch.tables import Lists, Style, read_part, write_lists
from batch.verify import verify_run
from ncf.devices import Device
from ncf.errors import ArtifactError, StorageError, UsageError
from ncf.locks import reader_lock
from ncf.scoring.bundle import Bundle

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "table.md"
STYLES = [Style(), Style(TableFormat.CSV), Style(TableFormat.PARQUET, Layout.LIST)]

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    users=st.lists(texts, unique=True, max_size=5),
    items=st.lists(texts, unique=True, min_size=1, max_size=6),
    style=st.sampled_from(STYLES),
    data=st.data(),
)
def test_what_is_written_is_read_back(
    users: list[str],
    items: list[str],
    style: Style,
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    lists = [data.draw(st.lists(st.integers(0, len(items) - 1), unique=True)) for _ in users]
    policies = [data.draw(st.integers(0, 1)) for _ in users]
    expected = []
    flat_scores = []
    for user, policy, ranked in zip(users, policies, lists, strict=True):
        for rank, item in enumerate(ranked, 1):
            score = np.nan if policy else data.draw(st.floats(width=32, allow_nan=False))
            flat_scores.append(score)
            expected.append((user, rank, items[item], score, ["model", "popular"][policy]))
    given_lists = Lists(
        users,
        np.array([len(each) for each in lists], np.int64),
        np.array([item for each in lists for item in each], np.int64),
        np.array(flat_scores, np.float32),
        np.array(policies, np.int64),
    )
    first, second = BytesIO(), BytesIO()
    for file in (first, second):
        write_lists(given_lists, pa.array(items), style, file)
    assert first.getvalue() == second.getvalue()
    path = tmp_path_factory.mktemp("part") / "part"
    path.write_bytes(first.getvalue())
    found = read_part(path, style)
    names = ["user_id", "rank", "item_id", "score", "policy"]
    assert list(found.columns) == names
    assert found.drop(columns="score").to_numpy().tolist() == [
        [*row[:3], row[4]] for row in expected
    ]
    np.testing.assert_array_equal(found.score.astype(np.float32), np.array(flat_scores, np.float32))


def _run(
    bundle: Bundle, out: Path, *, days: int = 0, keep: int = 0, style: Style | None = None
) -> Path:
    job = Job(bundle.path, out, 4, Device.CPU, 15, keep=keep, style=style or Style())
    return Path(run_batch(job, NOW + timedelta(days=days))["table"])


@pytest.mark.parametrize("style", STYLES[1:])
def test_every_style_holds_the_same_table(style: Style, bundle: Bundle, tmp_path: Path) -> None:
    _run(bundle, tmp_path / "long")
    folder = _run(bundle, tmp_path / "other", style=style)
    pd.testing.assert_frame_equal(
        read_latest(tmp_path / "long"), read_latest(tmp_path / "other"), check_dtype=False
    )
    assert verify_run(folder, bundle.path)["users"] == 40
    name, rows = rows_of(tmp_path / "other", "u7")
    assert (name, rows["rank"].tolist()) == (folder.name, [1, 2, 3, 4])


def test_parts_past_the_hundred_thousandth_are_read_in_order(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run(bundle, tmp_path / "few")
    part = Style.part
    monkeypatch.setattr(Style, "part", lambda style, number: part(style, number + 99_999))
    folder = _run(bundle, tmp_path / "last")
    assert {path.stem for path in folder.glob("part-*")} == {
        *("part-99999", "part-100000", "part-100001"),
    }
    pd.testing.assert_frame_equal(read_latest(tmp_path / "few"), read_latest(tmp_path / "last"))


def test_csv_has_no_lists() -> None:
    with pytest.raises(UsageError, match="CSV has no lists"):
        Style(TableFormat.CSV, Layout.LIST)


def test_a_flipped_bit_is_found_by_any_reader_that_checks_pages(
    bundle: Bundle, tmp_path: Path
) -> None:
    part = _run(bundle, tmp_path) / "part-00000.parquet"
    content = bytearray(part.read_bytes())
    content[60] ^= 1
    part.write_bytes(content)
    with pytest.raises(OSError, match=r"CRC|[Cc]hecksum|corrupt"):
        pq.read_table(part, page_checksum_verification=True)


def test_old_runs_go_by_order_of_publishing_and_never_the_latest(
    bundle: Bundle, tmp_path: Path
) -> None:
    # The clock goes back: the newest publish has the oldest name.
    runs = [_run(bundle, tmp_path, days=-day, keep=2) for day in range(4)]
    assert [folder.exists() for folder in runs] == [False, False, True, True]
    assert open_runs(tmp_path).latest() == runs[-1].name
    last = _run(bundle, tmp_path, days=9, keep=1)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [last.name]


def test_going_back_to_an_older_run_keeps_it_and_a_lost_latest_keeps_the_newest(
    bundle: Bundle, tmp_path: Path
) -> None:
    runs = [_run(bundle, tmp_path, days=day) for day in range(4)]
    (tmp_path / "LATEST").write_text(f"{runs[1].name}\n")  # the last two are bad
    new = _run(bundle, tmp_path, days=9, keep=3)
    assert {path for path in tmp_path.iterdir() if path.is_dir()} == {runs[0], runs[1], new}
    (tmp_path / "LATEST").unlink()
    newest = _run(bundle, tmp_path, days=-9, keep=2)
    assert {path for path in tmp_path.iterdir() if path.is_dir()} == {new, newest}


def test_an_old_run_that_cannot_be_removed_is_a_warning(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> None:
        raise OSError("no locks on this disk")

    _run(bundle, tmp_path)
    monkeypatch.setattr("batch.folder.Folder.remove", broken)
    second = _run(bundle, tmp_path, days=1, keep=1)
    assert open_runs(tmp_path).latest() == second.name
    assert "no locks on this disk" in caplog.text


@pytest.mark.parametrize("place", ["", " ", ".", "/", "..", "~/topk", "s3:/bucket/topk"])
def test_what_names_no_folder_is_refused(
    place: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Were it not refused, nothing may be written to such a place either.
    monkeypatch.setattr("batch.places.Folder", lambda *_: pytest.fail("not refused"))
    with pytest.raises((UsageError, StorageError)):
        run_batch(Job(bundle.path, place), NOW)


def test_a_file_uri_is_a_folder(bundle: Bundle, tmp_path: Path) -> None:
    run_batch(Job(bundle.path, f"file://{tmp_path}/topk", 4, Device.CPU), NOW)
    assert open_runs(tmp_path / "topk").folder == tmp_path / "topk"
    assert len(read_latest(f"file://{tmp_path}/topk")) == 160


def test_a_folder_with_a_question_mark_in_its_name_is_a_folder(
    bundle: Bundle, tmp_path: Path
) -> None:
    run_batch(Job(bundle.path, tmp_path / "top k?", 4, Device.CPU), NOW)
    assert len(read_latest(tmp_path / "top k?")) == 160


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"..", b"20261124T030000Z-0123abcd/.."])
def test_a_latest_that_names_no_run_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "LATEST").write_bytes(content)
    with pytest.raises(ArtifactError, match="does not name a run"):
        read_latest(tmp_path)


def test_verify_follows_latest(bundle: Bundle, tmp_path: Path) -> None:
    _run(bundle, tmp_path)
    assert verify_run(tmp_path, bundle.path)["users"] == 40


def test_a_run_that_somebody_reads_is_not_removed(bundle: Bundle, tmp_path: Path) -> None:
    first = _run(bundle, tmp_path)
    with open_runs(tmp_path).newest() as name:
        assert name == first.name
        _run(bundle, tmp_path, days=1, keep=1)
        assert verify_run(first, bundle.path)
    _run(bundle, tmp_path, days=2, keep=1)
    assert not first.exists()


def test_a_run_removed_before_a_reader_holds_it_gives_way_to_the_newest(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(file: Path) -> AbstractContextManager[bool]:
        monkeypatch.setattr("batch.runs.reader_lock", reader_lock)
        _run(bundle, tmp_path, days=1, keep=1)
        return reader_lock(file)

    first = _run(bundle, tmp_path)
    monkeypatch.setattr("batch.runs.reader_lock", late)
    with open_runs(tmp_path).newest() as name:
        assert (tmp_path / name).exists()
    assert not first.exists()


def test_a_reader_needs_no_right_to_write(bundle: Bundle, tmp_path: Path) -> None:
    folder = _run(bundle, tmp_path)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with reader_lock(folder / "_SUCCESS") as there, reader_lock(folder / "_SUCCESS") as as_well:
        assert there
        assert as_well
    read_latest(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_other_folders_beside_the_runs_are_left_alone(bundle: Bundle, tmp_path: Path) -> None:
    for name in ("notes", "20261124-mine"):
        (tmp_path / name).mkdir()
    for day in range(3):
        _run(bundle, tmp_path, days=day, keep=1)
    assert (tmp_path / "notes").is_dir()
    assert (tmp_path / "20261124-mine").is_dir()


def test_a_user_in_no_table_and_a_damaged_run(bundle: Bundle, tmp_path: Path) -> None:
    folder = _run(bundle, tmp_path)
    assert rows_of(tmp_path, "nobody")[1].empty
    whole = (folder / "part-00001.parquet").read_bytes()
    flipped = bytearray(whole)
    flipped[100] ^= 1
    for content in (b"PAR1", whole[:-20], bytes(flipped)):
        (folder / "part-00001.parquet").write_bytes(content)
        with pytest.raises(ArtifactError, match="damaged"):
            rows_of(tmp_path, "u7")
        with pytest.raises(ArtifactError, match=r"part-00001\.parquet"):
            read_latest(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"parameters": null}', '{"parameters": ["format"]}']
)
def test_rows_of_a_run_with_a_damaged_manifest_are_refused_in_one_line(
    content: str, bundle: Bundle, tmp_path: Path
) -> None:
    (_run(bundle, tmp_path) / "_manifest.json").write_text(content)
    with pytest.raises(ArtifactError, match="damaged"):
        rows_of(tmp_path, "u7")


def test_the_manifest_tells_time_memory_and_users(bundle: Bundle, tmp_path: Path) -> None:
    folder = _run(bundle, tmp_path)
    manifest = json.loads((folder / "_manifest.json").read_bytes())
    assert manifest["users_by_policy"] == {"model": 40, "popular": 0}
    assert set(manifest["seconds"]) == {"read", "score", "audit", "write", "total"}
    assert all(value >= 0 for value in manifest["seconds"].values())
    assert 50 << 20 < manifest["peak_memory_bytes"] < 2 * peak_memory()
    assert manifest["device"] == "cpu"


def test_metrics_are_text_that_prometheus_reads(bundle: Bundle, tmp_path: Path) -> None:
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - beside its use

    job = Job(bundle.path, tmp_path / "topk", 4, Device.CPU)
    path = tmp_path / "textfile" / "ncf.prom"
    write_metrics_of_a_run(path, run_batch(job, NOW))
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }
    assert found["ncf_batch_success",] == 1
    assert found["ncf_batch_rows",] == 160
    assert found["ncf_batch_users", "model"] == 40
    assert found["ncf_batch_seconds", "total"] > 0
    assert found["ncf_batch_last_success_timestamp_seconds",] == pytest.approx(time.time(), abs=60)
    with pytest.raises(ValueError, match="broke"), metrics_of(path):
        raise ValueError("it broke")
    assert "ncf_batch_success 0.0" in path.read_text()
    last = found["ncf_batch_last_success_timestamp_seconds",]
    assert last_success(path) == pytest.approx(last)
    assert [each.name for each in path.parent.iterdir()] == ["ncf.prom"]


def write_metrics_of_a_run(path: Path, figures: dict[str, Any]) -> None:
    with metrics_of(path) as record:
        record(figures)


def test_metrics_that_cannot_be_written_are_found_out_first_and_lose_no_table(
    bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises((StorageError, OSError)), metrics_of(Path("/proc/x/ncf.prom")):
        pytest.fail("began")
    path = tmp_path / "textfile" / "ncf.prom"
    with metrics_of(path) as record:
        record(run_batch(Job(bundle.path, tmp_path / "topk", 4, Device.CPU), NOW))
        path.parent.rmdir()
        path.parent.write_text("in the way")


def _cli(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    program = "from ncf.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_a_cron_job_gets_json_lines_and_a_metrics_file(bundle: Bundle, tmp_path: Path) -> None:
    words = ["batch", "--bundle", bundle.path, "--log-format", "json", "--metrics-file", "m.prom"]
    ended = _cli(*words, "--json", cwd=tmp_path)
    assert json.loads(ended.stdout)["users"] == 40
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert {"time", "levelname", "name", "message"} <= lines[0].keys()
    assert "success 1.0" in (tmp_path / "m.prom").read_text()
    failed = _cli(*words, "-k", 0, cwd=tmp_path)
    assert failed.returncode == 2
    assert "success 0.0" in (tmp_path / "m.prom").read_text()
    (line,) = failed.stderr.splitlines()
    assert json.loads(line)["levelname"] == "ERROR"
    ended = _cli(*words, "--users", "none.csv", cwd=tmp_path)
    assert ended.returncode == 2
    assert "success 0.0" in (tmp_path / "m.prom").read_text()


def test_show_prints_a_user_and_refuses_one_without_rows(bundle: Bundle, tmp_path: Path) -> None:
    _run(bundle, tmp_path / "topk")
    table = read_latest(tmp_path / "topk")
    found = json.loads(_cli("batch", "show", "--user", "u7", "--json", cwd=tmp_path).stdout)
    rows = table[table.user_id == "u7"]
    assert [each["item"] for each in found["items"]] == rows.item_id.tolist()
    assert "film" in _cli("batch", "show", "--user", "u7", cwd=tmp_path).stdout
    refused = _cli("batch", "show", "--user", "nobody", cwd=tmp_path)
    assert (refused.returncode, "no row in run" in refused.stderr) == (2, True)
    refused = _cli("batch", "--out", "other", "show", "--user", "u7", cwd=tmp_path)
    assert (refused.returncode, "--out comes before 'show'" in refused.stderr) == (2, True)


def test_the_query_of_the_page_answers_as_printed(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run(bundle, tmp_path / "topk")
    monkeypatch.chdir(tmp_path)
    (query,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert "'196'" in query
    found = duckdb.execute(query.replace("'196'", "'u7'")).fetchall()
    table = read_latest(tmp_path / "topk")
    rows = table[table.user_id == "u7"]
    assert [row[:2] for row in found] == list(zip(rows["rank"], rows.item_id, strict=True))


def test_a_batch_says_what_it_computes_on(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run_batch(Job(bundle.path, tmp_path), NOW)
    assert "scoring 40 users on" in caplog.text
