"""Runs of our choice, and what a target should give for them."""

from pathlib import Path

import pyarrow as pa

from batch.push.targets import Target
from batch.reading import Published, published
from batch.runs import open_runs
from tests.batch.written import Listed, Table, write_run

NAMES = [f"202611{day:02}T030000Z-{day:08x}" for day in range(1, 29)]


def run_of(out: Path, number: int, table: Table, shard_users: int = 3) -> Published:
    """Write a run, which LATEST then names."""
    write_run(out, NAMES[number], table, sequence=number + 1, shard_users=shard_users)
    return published(open_runs(out), NAMES[number])


def lists_of(target: Target, users: list[str]) -> Table:
    """Read lists as a shop would."""
    rows = target.read(users).to_pylist()
    return {
        row["user_id"]: Listed(
            tuple(row["item_ids"]), None if row["scores"] is None else tuple(row["scores"])
        )
        for row in rows
    }


def with_items(table: Table) -> Table:
    """Give the lists that are not empty: a target has no row for the others."""
    return {user: listed for user, listed in table.items() if listed.items}


def single(value: float) -> float:
    """Round to float32, as tables have it."""
    return float(pa.scalar(value, pa.float32()).as_py())
