"""Time a batch of strangers beside one of known users."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batch.runs import open_runs
from ncf.data.prepared import PreparedData


def time_batches(
    bundle: Path, data: PreparedData, strangers: int, work: Path
) -> Iterator[dict[str, Any]]:
    """Run a batch of all known users, and one of strangers with the histories of some of them.

    Each runs in a process of its own, on one thread, so that its peak memory is its own.
    """
    csr, rng = data.train.csr(), np.random.default_rng(0)
    lengths = np.diff(csr.indptr)
    models = rng.choice(np.flatnonzero(lengths > 0), strangers)
    items = np.concatenate([csr.indices[csr.indptr[u] : csr.indptr[u + 1]] for u in models])
    names = pa.array([f"stranger {number}" for number in range(strangers)])
    owners = np.repeat(np.arange(strangers, dtype=np.int32), lengths[models])
    raw = pa.array(list(data.items.raw))
    pairs = {
        "user_id": pa.DictionaryArray.from_arrays(owners, names).cast(pa.string()),
        "item_id": raw.take(pa.array(items)),
    }
    seen, users = work / "seen.parquet", work / "users.parquet"
    pq.write_table(pa.table(pairs), seen)
    pq.write_table(pa.table({"user_id": names}), users)
    yield _timed("known users", bundle, work / "topk-known", ())
    extra = ("--seen", str(seen), "--users", str(users))
    found = _timed("strangers", bundle, work / "topk-strangers", extra)
    yield {**found, "interactions": int(items.size)}


def _timed(what: str, bundle: Path, out: Path, extra: tuple[str, ...]) -> dict[str, Any]:
    command = [sys.executable, "-m", "ncf", "batch", "--bundle", str(bundle), "--out", str(out)]
    subprocess.run([*command, "--workers", "1", *extra], check=True, stdout=subprocess.DEVNULL)
    runs = open_runs(out)
    manifest = runs.manifest(runs.latest())
    return {
        "batch": what,
        "users": manifest.users,
        "policies": dict(manifest.users_by_policy),
        "users_per_second": manifest.users_per_second,
        "seconds": dict(manifest.seconds),
        "peak_mib": round((manifest.peak_memory_bytes or 0) / 2**20),
    }
