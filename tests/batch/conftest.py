"""Places to publish to: a folder, and an S3 server on loopback."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

Client = Any  # boto3 makes its classes as it goes


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Address of the server, ``host:port``."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def client(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Another client of the server, to look at what is there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    client = boto3.client("s3", endpoint_url=f"http://{server}", region_name="us-east-1")
    client.create_bucket(Bucket="tables")
    yield client
    for each in client.list_objects_v2(Bucket="tables").get("Contents", []):
        client.delete_object(Bucket="tables", Key=each["Key"])
    client.delete_bucket(Bucket="tables")


@pytest.fixture(params=["folder", "bucket"])
def out(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What ``--out`` is given: a folder, or a bucket, of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if request.param == "folder":
        return str(tmp_path / "topk")
    request.getfixturevalue("client")
    address = request.getfixturevalue("server")
    return f"s3://tables/topk?endpoint_override={address}&scheme=http&region=us-east-1"
