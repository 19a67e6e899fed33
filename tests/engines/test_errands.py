"""What goes to a node and comes back is plain data, and means the same there as here."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from batch.engines.errands import Errand, error_of, receipt_of, run_errand, shared_place
from batch.job import Job
from batch.options import EngineName
from batch.pipeline import plan_batch
from batch.sessions import work
from ncf.devices import Device
from ncf.errors import ArtifactError, FullDiskError, NcfError, UnreachableError, UsageError
from ncf.scoring.bundle import Bundle
from tests.batch.pieces import NOW
from tests.commands import refused


@pytest.mark.parametrize("threads", [1, 3])
def test_a_receipt_comes_back_as_json_with_any_number_of_threads(
    threads: int, bundle: Bundle, tmp_path: Path
) -> None:
    plan = plan_batch(Job(bundle.path, tmp_path, 5, Device.CPU, 15), NOW)
    errand = Errand(plan.content(), shared_place(tmp_path), threads)
    found = receipt_of(json.loads(json.dumps(run_errand(errand, 1))))
    again = work(plan, 1, tmp_path)
    assert (found.sha256, found.size, found.users) == (again.sha256, again.size, again.users)
    assert (found.shard, found.rows) == (1, 75)


def test_an_error_comes_back_with_its_class_its_exit_code_and_the_node(
    bundle: Bundle, tmp_path: Path
) -> None:
    plan = plan_batch(Job(bundle.path, tmp_path, 5, Device.CPU, 15), NOW)
    errand = Errand(plan.content(), str(tmp_path / "nothing"))
    (tmp_path / "nothing").mkdir()
    answer = json.loads(json.dumps(run_errand(errand, 0)))
    with pytest.raises(ArtifactError, match=r"is closed: .* \(on .+\)$"):
        receipt_of(answer)


@pytest.mark.parametrize("kind", [UnreachableError, FullDiskError, ArtifactError])
def test_every_class_of_the_tree_comes_back_as_itself(kind: type[NcfError]) -> None:
    with pytest.raises(kind, match=r"^here: broken; mend it \(on node\)$") as found:
        receipt_of(error_of(kind("broken", where="here", remedy="mend it"), " (on node)"))
    assert type(found.value) is kind
    assert found.value.exit_code == kind.exit_code


def test_an_error_of_the_system_comes_back_with_its_number_and_file() -> None:
    with pytest.raises(PermissionError) as found:
        receipt_of(error_of(PermissionError(errno.EACCES, "Permission denied", "/topk")))
    assert (found.value.errno, found.value.filename) == (errno.EACCES, "/topk")
    with pytest.raises(OSError, match=r"^AWS Error: slow down$"):
        receipt_of(error_of(OSError("AWS Error: slow down")))
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        receipt_of({"fault": "Traceback\nZeroDivisionError"})


def test_a_place_means_the_same_on_every_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shared_place("topk") == str(tmp_path / "topk")
    assert shared_place("s3://bucket/topk") == "s3://bucket/topk"
    with pytest.raises(UsageError, match="is in the memory of one process"):
        shared_place("memory://bucket/topk")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"address": "head:6379"}, "`address` head:6379 is of no use to threads"),
        ({"patience": 60.0}, "`patience` 60.0 is of no use to threads"),
        ({"patience": 0.0}, "`patience` 0.0 is not a number of seconds above 0"),
        ({"patience": float("inf"), "engine": EngineName.RAY}, "`patience` inf is not"),
    ],
)
def test_options_of_a_cluster_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Job("bundle", "topk", **options)


def test_without_its_package_an_engine_names_the_extra(bundle: Bundle, tmp_path: Path) -> None:
    words = ("batch", "--bundle", bundle.path, "--out", "topk", "--engine")
    assert "needs Ray; pip install 'ncf[ray]'" in refused(*words, "ray", cwd=tmp_path)
    assert "is not one of" in refused(*words, "dask", cwd=tmp_path)
    assert not (tmp_path / "topk").exists()
