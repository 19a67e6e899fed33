"""A bundle with more users than the kit could carry: copies of its own, each moved a little."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from ncf.artifacts import seal
from ncf.columns import Columns
from ncf.identifiers import IdMap, write_id_maps
from ncf.records import json_values
from ncf.scoring.manifest import BUNDLE

_NOISE = 0.05  # of the rows' spread


def grow(bundle: Path, out: Path, times: int) -> None:
    """Write a bundle with so many times the users; the first ones are unchanged.

    Parameters
    ----------
    bundle : Path
        An exported model.
    out : Path
        Folder to make.
    times : int
        At least 1.
    """
    from ncf.data.tables import write_id_table
    from ncf.scoring.bundle import open_bundle

    opened = open_bundle(bundle)
    users = opened.n_users
    shutil.copytree(bundle, out)
    rng = np.random.default_rng(0)
    rows = np.tile(opened.user_rows, (times, 1))
    noise = rng.normal(0, _NOISE * rows.std(), (rows.shape[0] - users, rows.shape[1]))
    rows[users:] += noise.astype(np.float32)
    np.save(out / "users.npy", rows)
    with np.load(bundle / "seen.npz", allow_pickle=False) as file:
        seen = dict(file)
    (out / "unlearned.npz").unlink(missing_ok=True)  # of the old count of users
    pairs = int(seen["indptr"][-1])
    starts = [seen["indptr"][:-1] + copy * pairs for copy in range(times)]
    seen["indptr"] = np.concatenate([*starts, [times * pairs]]).astype(np.int64)
    for name in ("indices", "data"):
        seen[name] = np.tile(seen[name], times)
    seen["shape"] = np.array([times * users, opened.n_items])
    np.savez(out / "seen.npz", **seen)
    raw = [*opened.users.raw, *(f"copy-{number}" for number in range(users, times * users))]
    ids = IdMap(raw)
    write_id_maps(out / "ids.npz", {"users": ids, "items": opened.items})
    write_id_table(out / "users.parquet", ids, Columns.USER_ID)
    model = replace(opened.manifest.model, n_users=times * users, interactions=times * pairs)
    seal(out, BUNDLE, json_values(replace(opened.manifest, model=model)))
