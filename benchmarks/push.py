"""Time ``ncf push`` whole and of few changed users, beside a plain load of the same rows.

    python -m benchmarks.push --users 1000000

Servers are those that tests start. Each push runs in a process of its own. The plain load of
PostgreSQL is one ``COPY`` of ready rows into a new table with its key; that of Valkey pipelined
``SET`` of ready texts, 1,000 at a time; that of Delta Lake one overwrite from ready Arrow tables.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pyarrow as pa
import redis
from deltalake import write_deltalake

import ncf
from batch.push.changes import all_lists
from batch.push.literals import copy_rows, json_lists
from batch.reading import published
from batch.runs import open_runs
from batch.tables import write_lists
from benchmarks.diff import NAMES, SHARD, _lists
from tests.batch.push.servers import PASSWORD, postgres, valkey
from tests.batch.written import LONG, sealed


def write_tables(out: Path, users: int, k: int, items: int, changed: float) -> None:
    """Write two tables, of which some users' lists differ."""
    ids = pa.array([f"item {n}" for n in range(items)])
    each = round(1 / changed)
    for number, name in enumerate(NAMES):
        folder, rows = out / name, {}
        folder.mkdir(parents=True)
        for start in range(0, users, SHARD):
            some = pa.array(range(start, min(users, start + SHARD))).to_numpy()
            lists = _lists(some, k, items, 0)
            moved = (some % each == 0).repeat(k) * number
            lists = replace(lists, items=(lists.items + moved) % items)
            rows[LONG.part(start // SHARD)] = some.size * k
            with (folder / LONG.part(start // SHARD)).open("wb") as file:
                write_lists(lists, ids, LONG, file)
        sealed(folder, LONG, {"model": users}, rows, k=k, shard_users=SHARD, sequence=number + 1)


def measure(uri: str, run: str) -> dict[str, float]:
    """Push in this process: seconds, changed users, and peak memory in MiB."""
    started = time.perf_counter()
    found = ncf.push(uri, run)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": round(seconds, 1), "changed": found["changed"], "mib": round(peak)}


def plain(uri: str, run: Path) -> float:
    """Load the same rows without any care: seconds."""
    source = published(open_runs(run.parent), run.name).source
    if uri.startswith("delta"):
        tables = [chunk.changed for chunk in all_lists(source)]
        started = time.perf_counter()
        write_deltalake(f"{uri.removeprefix('delta://')}-plain", pa.concat_tables(tables))
    elif uri.startswith("postgres"):
        rows = [copy_rows(chunk.changed) for chunk in all_lists(source)]
        started = time.perf_counter()
        with psycopg.connect(uri.partition("?")[0], password=PASSWORD) as connection:
            connection.execute(
                "CREATE TABLE plain (user_id text PRIMARY KEY, item_ids text[], scores real[],"
                " policy text)"
            )
            with connection.cursor().copy("COPY plain FROM STDIN") as copy:
                for each in rows:
                    copy.write(each)
    else:
        texts = [
            (c.changed["user_id"].to_pylist(), json_lists(c.changed)) for c in all_lists(source)
        ]
        client = redis.Redis.from_url(uri.replace("valkey", "redis", 1), password=PASSWORD)
        started = time.perf_counter()
        for users, lists in texts:
            for start in range(0, len(users), 1000):
                pipeline = client.pipeline(transaction=False)
                for user, text in zip(
                    users[start : start + 1000], lists[start : start + 1000], strict=True
                ):
                    pipeline.set(f"plain:{user}", text)
                pipeline.execute()
    return round(time.perf_counter() - started, 1)


def main() -> None:
    """Print a line for each way and target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--changed", type=float, default=0.03)
    parser.add_argument("--measure", nargs=2, metavar=("URI", "RUN"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(*asked.measure)))
        return
    os.environ["NCF_PUSH_PASSWORD"] = PASSWORD
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        write_tables(folder / "topk", asked.users, asked.k, asked.items, asked.changed)
        for name in ("postgres", "valkey"):
            (folder / name).mkdir()
        with postgres(folder / "postgres") as one, valkey(folder / "valkey") as other:
            for uri in (one, other, f"delta://{folder / 'lists'}"):
                kind = uri.partition("://")[0]
                for way, run in (("whole", NAMES[0]), ("changed", NAMES[1])):
                    words = ["--measure", uri, str(folder / "topk" / run)]
                    command = [sys.executable, "-m", "benchmarks.push", *words]
                    found = subprocess.run(command, check=True, capture_output=True, text=True)
                    print(f"{kind:10} {way:8} {found.stdout.splitlines()[-1]}", flush=True)
                print(f"{kind:10} plain    {plain(uri, folder / 'topk' / NAMES[0])} s", flush=True)


if __name__ == "__main__":
    main()
