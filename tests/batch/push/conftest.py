"""Targets of every kind, each test with one of its own on a server that all share."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.batch.push.servers import PASSWORD, postgres, valkey

KINDS = ("postgres", "valkey", "delta")


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with valkey(tmp_path_factory.mktemp("valkey")) as uri:
        yield uri


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("postgres")) as uri:
        yield uri


@pytest.fixture
def uri(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """URI of a target of the kind that the test asks for, with nothing in it."""
    return new_target(request.param, request, tmp_path, monkeypatch)


def new_target(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    name = f"lists_{abs(hash((request.node.name, str(tmp_path)))) % 10**9}"
    if kind == "delta":
        return f"delta://{tmp_path / name}"
    monkeypatch.setenv("NCF_PUSH_PASSWORD", PASSWORD)
    if kind == "valkey":
        return f"{request.getfixturevalue('valkey_server')}/0?prefix={name}"
    return f"{request.getfixturevalue('postgres_server')}?table={name}"


@pytest.fixture
def shop(postgres_server: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """Connection of a reader."""
    os.environ.setdefault("PGCONNECT_TIMEOUT", "10")
    with psycopg.connect(postgres_server, password=PASSWORD, autocommit=True) as connection:
        yield connection
