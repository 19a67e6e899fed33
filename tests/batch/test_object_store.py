"""Publishing to an S3 server on loopback."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from batch.bucket import Bucket
from batch.job import Job
from batch.once import through_boto3
from batch.pipeline import run_batch
from batch.published import read_latest
from batch.runs import open_runs
from batch.show import rows_of
from batch.verify import verify_run
from ncf.devices import Device
from ncf.errors import ArtifactError, InterruptedWorkError, StorageError
from ncf.scoring.bundle import Bundle
from tests.commands import refused

Client = Any  # boto3 makes its classes as it goes
Method = Any  # one of a bucket's
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


@pytest.fixture
def place(server: str) -> str:
    """What ``--out`` is given."""
    return f"s3://tables/night/topk?endpoint_override={server}&scheme=http&region=us-east-1"


def _keys(client: Client) -> list[str]:
    found = client.list_objects_v2(Bucket="tables").get("Contents", [])
    return [each["Key"] for each in found if each["Size"] or not each["Key"].endswith("/")]


def _job(bundle: Bundle, place: str, work: Path, *, k: int = 4, keep: int = 0) -> Job:
    return Job(bundle.path, place, k, Device.CPU, 15, keep=keep, work=work)


def test_a_table_in_a_bucket_is_that_of_a_folder(
    bundle: Bundle, client: Client, place: str, tmp_path: Path
) -> None:
    name = run_batch(_job(bundle, place, tmp_path / "work"), NOW)["run"]
    run_batch(Job(bundle.path, tmp_path / "topk", 4, Device.CPU, 15), NOW)
    pd.testing.assert_frame_equal(read_latest(place), read_latest(tmp_path / "topk"))
    latest = client.get_object(Bucket="tables", Key="night/topk/LATEST")["Body"].read()
    assert latest == f"{name}\n".encode()
    sealed = ["_SUCCESS", "_manifest.json", "_users.parq"]
    files = [*sealed, *(f"part-0000{part}.parquet" for part in range(3))]
    assert set(_keys(client)) == {
        "night/topk/LATEST",
        "night/topk/_history",
        *(f"night/topk/{name}/{file}" for file in files),
    }
    address = place.replace("/topk?", f"/topk/{name}?")
    assert verify_run(address, bundle.path)["users"] == 40
    assert rows_of(place, "u3")[1]["rank"].tolist() == [1, 2, 3, 4]


def test_parts_go_before_success_and_success_before_latest(
    bundle: Bundle, client: Client, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = []
    put = Bucket._put

    def watched(self: Bucket, path: str, content: bytes) -> None:
        order.append(path.rsplit("/", 1)[1].partition("-probe")[0].partition(".parquet.")[0])
        put(self, path, content)

    monkeypatch.setattr(Bucket, "_put", watched)
    run_batch(_job(bundle, place, tmp_path / "work"), NOW)
    parts = [f"part-0000{part}" for part in range(3)]
    assert order[:3] == [".ncf", "audience.npz", "_plan.json"]
    assert sorted(order[3:9]) == sorted([*parts, *(f"{part}.parquet" for part in parts)])
    assert all(order.index(f"{part}.parquet") < order.index(part) for part in parts)
    assert order[9:] == ["_users.parq", "_manifest.json", "_SUCCESS", "_history", "LATEST"]
    assert client


@pytest.mark.parametrize(
    "dies_at",
    [
        *("audience.npz", "_plan.json", "part-00001.parquet", "receipts/part-00001"),
        *("_manifest.json", "_SUCCESS", "_history", "LATEST"),
    ],
)
def test_a_batch_that_dies_leaves_the_last_run_and_goes_on(
    dies_at: str,
    bundle: Bundle,
    client: Client,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = run_batch(_job(bundle, place, tmp_path / "work", k=2), NOW)["run"]
    put = Bucket._put

    def dying(self: Bucket, path: str, content: bytes) -> None:
        if dies_at in path:
            raise KeyboardInterrupt
        put(self, path, content)

    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "_put", dying)
        with pytest.raises((KeyboardInterrupt, InterruptedWorkError)):
            run_batch(_job(bundle, place, tmp_path / "work"), NOW + timedelta(days=1))
    assert open_runs(place).latest() == before
    after = run_batch(_job(bundle, place, tmp_path / "work"), NOW + timedelta(days=2))
    if dies_at in {"_manifest.json", "_SUCCESS", "_history", "LATEST"}:
        assert after["parts_reused"] == 3
    verify_run(place.replace("/topk?", f"/topk/{after['run']}?"), bundle.path)
    names = {key.split("/")[2] for key in _keys(client)}
    assert names == {"LATEST", "_history", before, after["run"]}


def test_other_inputs_after_a_death_leave_nothing_of_the_first(
    bundle: Bundle, client: Client, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "replace", dies)
        with pytest.raises(KeyboardInterrupt):
            run_batch(_job(bundle, place, tmp_path / "work"), NOW)
    name = run_batch(_job(bundle, place, tmp_path / "work", k=2), NOW)["run"]
    assert {key.split("/")[2] for key in _keys(client)} == {"LATEST", "_history", name}


def test_old_runs_are_deleted_from_a_bucket(
    bundle: Bundle, client: Client, place: str, tmp_path: Path
) -> None:
    names = [
        run_batch(_job(bundle, place, tmp_path / "work", keep=2), NOW + timedelta(days=day))["run"]
        for day in (0, -1, 2)
    ]
    assert {key.split("/")[2] for key in _keys(client)} == {"LATEST", "_history", *names[1:]}


def test_a_bucket_that_is_not_there_is_found_out_before_scoring(
    bundle: Bundle, client: Client, place: str, tmp_path: Path
) -> None:
    assert client
    with pytest.raises(StorageError, match="check the name"):
        run_batch(_job(bundle, place.replace("tables", "nowhere"), tmp_path / "work"), NOW)
    assert not (tmp_path / "work" / ".ncf-batch").exists()


def test_an_empty_bucket_says_that_nothing_was_published(client: Client, place: str) -> None:
    assert client
    with pytest.raises(ArtifactError, match="no run was published"):
        read_latest(place)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://KEY:SE/CR+ET@tables/x?unknown=1",
        "what://KEY:SECRET@tables/x",
    ],
)
def test_no_message_shows_the_credentials_of_a_place(
    uri: str, bundle: Bundle, tmp_path: Path
) -> None:
    words = ("--bundle", bundle.path, "--device", "cpu", "--out", uri)
    line = refused("batch", "plan", *words, cwd=tmp_path)
    assert uri.partition("@")[2] in line
    assert "ET@" not in line
    assert "KEY" not in line
    told = str(ArtifactError("is gone", where="hdfs://name:8020/of@place/s3://bucket/a@b"))
    assert "hdfs://name:8020/of@place/s3://bucket/a@b: is gone" in told


def test_the_lock_takes_the_credentials_that_the_uri_means(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr("boto3.client", lambda *_, **options: made.append(options))
    through_boto3(place.replace("s3://", "s3://K%2BEY:s%2Fe%2Bc%3Dret@"))
    (options,) = made
    given = (options["aws_access_key_id"], options["aws_secret_access_key"])
    assert given == ("K+EY", "s/e+c=ret")
