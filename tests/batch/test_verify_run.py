import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.job import Job
from batch.manifest import RUN
from batch.options import Layout
from batch.pipeline import run_batch
from batch.tables import SCHEMAS, Style
from batch.verify import verify_run
from ncf.artifacts import seal
from ncf.devices import Device
from ncf.errors import ArtifactError
from ncf.scoring.bundle import Bundle

NAME = "part-00001.parquet"
Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    job = Job(bundle.path, tmp_path, 6, Device.CPU, 15)
    return tmp_path / str(run_batch(job, datetime(2026, 1, 1, tzinfo=UTC))["run"])


def _reseal(folder: Path, *, rows: dict[str, int] | None = None) -> None:
    document = json.loads((folder / "_manifest.json").read_bytes())
    document["rows_by_part"] |= rows or {}
    seal(folder, RUN, document)


def _rewrite(folder: Path, change: Change) -> None:
    """Change a part and seal the run again, so that only its content can give it away."""
    frame = change(pd.read_parquet(folder / NAME))
    table = pa.Table.from_pandas(frame, SCHEMAS[Layout.LONG], preserve_index=False)
    pq.write_table(table, folder / NAME, store_schema=False)
    _reseal(folder, rows={NAME: len(frame)})


def test_a_sound_run_passes_with_and_without_its_bundle(folder: Path, bundle: Bundle) -> None:
    for given in (None, bundle.path):
        report = verify_run(folder, given)
        assert (report["parts"], report["users"], report["rows"]) == (3, 40, 240)


def test_a_sound_run_of_more_than_a_hundred_thousand_parts_passes(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the last three are made: their names no longer sort as their numbers do.
    part = Style.part
    monkeypatch.setattr(Style, "part", lambda style, number: part(style, number + 99_999))
    job = Job(bundle.path, tmp_path, 6, Device.CPU, 15)
    folder = run_batch(job, datetime(2026, 1, 1, tzinfo=UTC))["table"]
    assert verify_run(folder, bundle.path)["users"] == 40


@pytest.mark.parametrize("name", ["part-00000.parquet", "_manifest.json", "_SUCCESS"])
def test_a_damaged_or_missing_file_is_named(name: str, folder: Path) -> None:
    content = bytearray((folder / name).read_bytes() or b"x")
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=name):
        verify_run(folder)
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        verify_run(folder)


def test_a_part_that_is_missing_altogether_is_noticed(folder: Path) -> None:
    (folder / NAME).unlink()
    _reseal(folder)
    with pytest.raises(ArtifactError, match=f"{NAME}: part is missing"):
        verify_run(folder)


def _item_of_another(frame: pd.DataFrame, bundle: Bundle) -> pd.DataFrame:
    """Put the first user's first seen item where their best unseen one stands."""
    user = bundle.users.index(frame.user_id.iloc[0])
    assert user is not None
    frame.loc[0, "item_id"] = bundle.items.raw[int(bundle.seen.of(user)[0])]
    return frame


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.assign(rank=f["rank"] + 1), "ranks are not"),
        (lambda f: f.drop(index=2), "ranks are not"),
        (lambda f: f.assign(score=-f.score), "scores rise"),
        (lambda f: f.assign(score=float("inf")), "scores rise"),
        (lambda f: f.assign(item_id="film 1"), "list twice"),
    ],
)
def test_rows_that_cannot_be_right_are_refused(folder: Path, change: Change, words: str) -> None:
    _rewrite(folder, change)
    with pytest.raises(ArtifactError, match=f"{NAME}: .*{words}"):
        verify_run(folder)


def test_the_bundle_shows_seen_items_strangers_and_missing_rows(
    folder: Path, bundle: Bundle, tmp_path: Path
) -> None:
    changes: list[tuple[Change, str]] = [
        (lambda f: _item_of_another(f, bundle), "has seen"),
        (lambda f: f.replace({"user_id": {f.user_id[0]: "nobody"}}), "its users, or the rows"),
        (lambda f: f[f["rank"] < 6], "its users, or the rows"),
    ]
    for number, (change, words) in enumerate(changes):
        copy = Path(shutil.copytree(folder, tmp_path / f"copy{number}"))
        _rewrite(copy, change)
        verify_run(copy)
        with pytest.raises(ArtifactError, match=words):
            verify_run(copy, bundle.path)


def test_a_list_that_is_missing_is_noticed_even_where_it_would_be_empty(
    bundle: Bundle, tmp_path: Path
) -> None:
    style = Style(layout=Layout.LIST)
    job = Job(bundle.path, tmp_path, 6, Device.CPU, 15, style=style)
    folder = Path(run_batch(job, datetime(2026, 1, 1, tzinfo=UTC))["table"])
    assert verify_run(folder, bundle.path)["users"] == 40
    table = pq.read_table(folder / NAME)
    pq.write_table(table.slice(1), folder / NAME, store_schema=False)
    _reseal(folder)
    with pytest.raises(ArtifactError, match="a user has no list"):
        verify_run(folder)


def test_another_bundle_than_the_runs_is_refused(
    folder: Path, bundle: Bundle, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(bundle.path, tmp_path / "other"))
    document = json.loads((other / "bundle.json").read_bytes())
    document["provenance"]["created"] = "another day"
    from ncf.scoring.manifest import BUNDLE  # noqa: PLC0415 - beside its use

    seal(other, BUNDLE, document)
    with pytest.raises(ArtifactError, match="was scored with bundle"):
        verify_run(folder, other)
