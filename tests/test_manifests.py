"""Manifests of other days: fields that came later may be missing, fields that went may be there."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batch.job import Job
from batch.manifest import RUN
from batch.pipeline import run_batch
from batch.runs import open_runs
from batch.verify import verify_run
from ncf.artifacts import seal
from ncf.data.manifests import DATA
from ncf.data.prepared import open_data
from ncf.devices import Device
from ncf.errors import ArtifactError
from ncf.kinds import Kind, Manifest
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.manifest import BUNDLE
from ncf.training.checkpoint import Checkpoint, open_checkpoint
from ncf.training.manifest import CHECKPOINT


def rewrite(folder: Path, kind: Kind[Manifest], *leave_out: str, **added: object) -> None:
    document = json.loads((folder / kind.manifest).read_bytes())
    seal(folder, kind, {k: v for k, v in document.items() if k not in leave_out} | added)


@pytest.fixture
def run(bundle: Bundle, tmp_path: Path) -> Path:
    job = Job(bundle.path, tmp_path / "topk", 3, Device.CPU)
    return Path(run_batch(job, datetime(2024, 1, 1, tzinfo=UTC))["table"])


def test_a_checkpoint_without_a_mix_and_with_a_field_of_its_own_is_read(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint.path, tmp_path / "c"))
    rewrite(folder, CHECKPOINT, "mix", "finished", news=[1])
    found = open_checkpoint(folder).manifest
    assert (found.mix, found.finished) == (None, False)
    assert found.architecture == checkpoint.architecture


def test_a_bundle_and_data_with_fields_of_their_own_are_read(
    bundle: Bundle, data_folder: Path, tmp_path: Path
) -> None:
    for source, kind in ((bundle.path, BUNDLE), (data_folder, DATA)):
        folder = Path(shutil.copytree(source, tmp_path / kind.manifest))
        rewrite(folder, kind, news={"x": 1})
    assert open_bundle(tmp_path / BUNDLE.manifest).manifest.model == bundle.manifest.model
    assert (
        open_data(tmp_path / DATA.manifest).manifest.options
        == open_data(data_folder).manifest.options
    )


def test_a_run_without_what_is_only_told_is_verified(run: Path, bundle: Bundle) -> None:
    rewrite(run, RUN, "sequence", "seconds", "peak_memory_bytes", "parts_reused", news=1)
    assert verify_run(run, bundle.path)["rows"] == 120
    runs = open_runs(run.parent)
    assert runs.sequence(run.name) == 0
    assert runs.manifest(run.name).seconds == {}


def test_a_run_of_another_version_still_counts(run: Path) -> None:
    (run / RUN.manifest).write_text('{"schema_version": 1, "sequence": 41}')
    assert open_runs(run.parent).sequence(run.name) == 41


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        *((CHECKPOINT, name) for name in ("architecture", "data", "recipe", "variant", "parents")),
        *((BUNDLE, name) for name in ("model", "cold_user", "parity", "screen", "provenance")),
        *((DATA, name) for name in ("source", "options", "counts", "n_users")),
        *((RUN, name) for name in ("parameters", "inputs", "users", "rows_by_part")),
    ],
    ids=lambda value: value.noun if isinstance(value, Kind) else value,
)
def test_a_field_that_readers_need_is_named_where_it_is_missing(
    kind: Kind[Manifest],
    field: str,
    checkpoint: Checkpoint,
    bundle: Bundle,
    data_folder: Path,
    run: Path,
    tmp_path: Path,
) -> None:
    sources = {CHECKPOINT: checkpoint.path, BUNDLE: bundle.path, DATA: data_folder, RUN: run}
    readers = {CHECKPOINT: open_checkpoint, BUNDLE: open_bundle, DATA: open_data, RUN: verify_run}
    folder = Path(shutil.copytree(sources[kind], tmp_path / "copy"))
    rewrite(folder, kind, field)
    with pytest.raises(ArtifactError) as caught:
        readers[kind](folder)
    said = f"{kind.manifest}: field {field!r} is missing; the {kind.noun} is damaged: {kind.remedy}"
    assert said in str(caught.value)
