"""A run's folder is a data set: whatever reads Parquet folders reads it as it is."""

import errno
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.dataset as ds
import pytest

from batch.job import Job
from batch.manifest import RUN
from batch.options import Layout, TableFormat
from batch.pipeline import run_batch
from batch.published import read_latest, read_run
from batch.runs import open_runs
from batch.show import rows_of
from batch.tables import Style
from batch.verify import verify_run
from ncf import locks
from ncf.artifacts import canonical_json
from ncf.devices import Device
from ncf.errors import ArtifactError
from ncf.files import sha256_bytes
from ncf.scoring.bundle import Bundle
from tests.commands import ncf

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def _run(bundle: Bundle, out: Path, style: Style | None = None) -> Path:
    job = Job(bundle.path, out, 4, Device.CPU, 15, style=style or Style())
    return out / str(run_batch(job, NOW)["run"])


def _counted(reader: str, pattern: str) -> int:
    query = {
        "read_parquet": "SELECT count(*) FROM read_parquet(?)",
        "read_csv": "SELECT count(*) FROM read_csv(?)",
    }
    ((count,),) = duckdb.execute(query[reader], [pattern]).fetchall()
    return int(count)


def _as_before(folder: Path) -> None:
    """Make a run as earlier versions did: its manifest was called otherwise."""
    (folder / RUN.manifest).rename(folder / RUN.former_manifest)


def _is_hidden_or_a_part(name: str) -> bool:
    return name[0] in "_." or re.fullmatch(r"part-\d{5}\.(parquet|csv)", name) is not None


def test_a_run_with_every_option_holds_parts_and_what_readers_skip(
    bundle: Bundle, tmp_path: Path
) -> None:
    rows = "user_id,item_id\n" + "".join(f"u{user},film 3\n" for user in range(9)) + "zoe,film 1\n"
    (tmp_path / "pairs.csv").write_text(rows)
    (tmp_path / "users.csv").write_text("user_id\n" + "".join(f"u{user}\n" for user in range(30)))
    (tmp_path / "left-out.csv").write_text("item_id\nfilm 7\n")
    (tmp_path / "only.csv").write_text("item_id\n" + "".join(f"film {n}\n" for n in range(20)))
    options = [
        "--seen",
        "pairs.csv",
        "--users",
        "users.csv",
        "--exclude-items",
        "left-out.csv",
        "--candidates",
        "only.csv",
        "--cold-user",
        "popular",
        "--keep",
        "2",
        "--shard-users",
        "7",
        "--workers",
        "2",
        "--metrics-file",
        "m/ncf.prom",
        "--mode",
        "exact",
        "--recall",
        "0.99",
        "--device",
        "cpu",
        "--log-format",
        "json",
        "--json",
    ]
    for more in ([], ["--layout", "list"], ["--format", "csv"]):
        words = ["batch", "--bundle", bundle.path, "--out", "topk", "-k", 3, *options, *more]
        ended = ncf(*words, cwd=tmp_path)
        assert ended.code == 0, ended
        names = [path.name for path in Path(tmp_path, json.loads(ended.out)["table"]).rglob("*")]
        assert all(map(_is_hidden_or_a_part, names)), names
        assert {"_manifest.json", "_SUCCESS", "_users.parq", "_report.html"} <= set(names)
        assert len(names) == 4 + 5


@pytest.mark.parametrize("layout", list(Layout))
def test_readers_of_folders_read_it_as_it_is(
    layout: Layout, bundle: Bundle, tmp_path: Path
) -> None:
    folder = _run(bundle, tmp_path, Style(layout=layout))
    rows = 160 if layout is Layout.LONG else 40
    assert len(pd.read_parquet(folder)) == rows
    assert ds.dataset(folder, format="parquet").count_rows() == rows
    assert ds.dataset(folder).schema.names[0] == "user_id"
    found = _counted("read_parquet", str(folder))
    assert found == rows


def test_a_folder_of_csv_parts_is_read_as_it_is(bundle: Bundle, tmp_path: Path) -> None:
    folder = _run(bundle, tmp_path, Style(TableFormat.CSV))
    assert ds.dataset(folder, format="csv").count_rows() == 160
    found = _counted("read_csv", f"{folder}/*.csv")
    assert found == 160


def test_a_run_of_before_is_read_shown_verified_and_counted(bundle: Bundle, tmp_path: Path) -> None:
    folder = _run(bundle, tmp_path)
    _as_before(folder)
    runs = open_runs(tmp_path)
    assert len(read_latest(tmp_path)) == len(read_run(folder)) == 160
    assert len(rows_of(tmp_path, "u3")[1]) == 4
    assert verify_run(folder, bundle.path)["rows"] == 160
    assert runs.sequence(folder.name) == 1
    again = _run(bundle, tmp_path)
    assert runs.sequence(again.name) == 2
    (folder / RUN.manifest).write_bytes((folder / RUN.former_manifest).read_bytes())
    with pytest.raises(ArtifactError, match=r"manifest\.json: file does not belong to the run"):
        verify_run(folder)


def test_the_unfinished_run_of_a_batch_of_before_is_cleared_away(
    bundle: Bundle, tmp_path: Path
) -> None:
    work = tmp_path / ".ncf-batch"
    for name in ("parts", "notes"):
        (work / name).mkdir(parents=True)
        (work / name / "part-00000.parquet").write_bytes(b"PAR1")
    (work / "identity.json").write_text("{}")
    folder = _run(bundle, tmp_path)
    assert not work.exists()
    verify_run(folder, bundle.path)


def test_a_damaged_manifest_of_before_is_named(bundle: Bundle, tmp_path: Path) -> None:
    folder = _run(bundle, tmp_path)
    _as_before(folder)
    path = folder / RUN.former_manifest
    document = {**json.loads(path.read_bytes()), "rows": 1}
    path.write_bytes(canonical_json(document))
    assert sha256_bytes(path.read_bytes())
    with pytest.raises(ArtifactError, match=r"manifest\.json: content differs"):
        verify_run(folder)


def test_without_locks_runs_are_published_read_shown_and_removed(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    locks._warn_of_no_locks.cache_clear()
    for _ in range(2):
        run_batch(Job(bundle.path, tmp_path, 4, Device.CPU, 15, keep=1), NOW)
    (name,) = open_runs(tmp_path).names()
    assert len(read_latest(tmp_path)) == 160
    assert rows_of(tmp_path, "u3")[0] == name
    assert sum("no locks" in message for message in caplog.messages) == 1
    assert {path.name for path in tmp_path.iterdir()} == {name, "LATEST", "_history"}
