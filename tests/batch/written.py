"""Published runs with lists of our choice, without a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from batch.manifest import RUN, Parameters, RunManifest
from batch.options import Layout, Mode, TableFormat
from batch.runs import LATEST_FILE, SUCCESS_FILE
from batch.tables import Lists, Style, write_lists
from ncf.artifacts import sealed_manifest
from ncf.files import sha256_bytes
from ncf.policies import Policy
from ncf.records import json_values

POLICIES = list(Policy)


@dataclass(frozen=True)
class Listed:
    """A user's list: item ids, best first, and logits; None for a popular one."""

    items: tuple[str, ...]
    scores: tuple[float, ...] | None

    @property
    def policy(self) -> Policy:
        return Policy.POPULAR if self.scores is None else Policy.MODEL


Table = dict[str, Listed]
LONG = Style(TableFormat.PARQUET, Layout.LONG)


def write_run(
    out: Path,
    name: str,
    table: Table,
    style: Style = LONG,
    *,
    k: int = 10,
    shard_users: int = 3,
    sequence: int = 1,
) -> Path:
    """Write a run as a batch would publish it, and point LATEST at it."""
    folder = out / name
    folder.mkdir(parents=True)
    users = list(table)
    shards = [users[at : at + shard_users] for at in range(0, len(users), shard_users)]
    rows = {}
    for number, some in enumerate(shards):
        part = style.part(number)
        with (folder / part).open("wb") as file:
            write_lists(*_lists(some, table), style, file)
        rows[part] = sum(len(table[user].items) for user in some)
    policies = [table[user].policy.value for user in users]
    by_policy = {each: policies.count(each) for each in set(policies)}
    sealed(folder, style, by_policy, rows, k=k, shard_users=shard_users, sequence=sequence)
    (out / LATEST_FILE).write_text(f"{name}\n")
    return folder


def sealed(
    folder: Path,
    style: Style,
    users: Mapping[str, int],
    rows: Mapping[str, int],
    *,
    k: int,
    shard_users: int,
    sequence: int,
) -> None:
    """Seal parts as a run, with users by policy and rows by part."""
    manifest = RunManifest(
        parameters=Parameters(k, shard_users, style.file_format, style.layout, None),
        inputs={"bundle": "0" * 64},
        ncf="0",
        onnxruntime="0",
        pyarrow="0",
        parts_version=2,
        device="cpu",
        mode=Mode.EXACT,
        users=sum(users.values()),
        rows=sum(rows.values()),
        users_by_policy=users,
        rows_by_part=rows,
        sequence=sequence,
    )
    (folder / SUCCESS_FILE).touch()
    files = {path.name: sha256_bytes(path.read_bytes()) for path in sorted(folder.iterdir())}
    content, _ = sealed_manifest(RUN, json_values(manifest), files)
    (folder / RUN.manifest).write_bytes(content)


def _lists(users: list[str], table: Table) -> tuple[Lists, pa.Array]:
    ids = sorted({item for user in users for item in table[user].items})
    found = [table[user] for user in users]
    items = [ids.index(item) for each in found for item in each.items]
    scores = [value for each in found for value in each.scores or [float("nan")] * len(each.items)]
    lists = Lists(
        users,
        np.array([len(each.items) for each in found], np.int64),
        np.array(items, np.int64),
        np.array(scores, np.float32),
        np.array([POLICIES.index(each.policy) for each in found], np.int64),
    )
    return lists, pa.array(ids, pa.string())
