"""Check a published run: digests, schema, ranks, completeness, and no seen item."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from batch.shards import PARTS, SCHEMA
from ncf.artifacts import RUN, open_sealed
from ncf.columns import Columns
from ncf.errors import ArtifactError
from ncf.scoring.bundle import Bundle, open_bundle


def verify_run(path: Path, bundle: Path | None = None) -> dict[str, Any]:
    """Check a run, part by part.

    Parameters
    ----------
    path : Path
        Folder of the run.
    bundle : Path, optional
        What it was scored with: then users, seen items and items are checked too.

    Returns
    -------
    dict
        ``parts``, ``users`` and ``rows`` checked, and the run's ``digest``.

    Raises
    ------
    ArtifactError
        Something is damaged, missing or wrong; the message names the part.
    """
    manifest = open_sealed(path, RUN)
    opened = open_bundle(bundle) if bundle else None
    if opened and manifest["inputs"]["bundle"] != opened.digest:
        raise ArtifactError(
            f"was scored with bundle {manifest['inputs']['bundle'][:12]}, given is "
            f"{opened.digest[:12]}",
            where=path,
            remedy="give the bundle it was scored with",
        )
    users = 0
    for part in sorted(path.glob(PARTS)):
        table = _read_part(part, manifest["rows_by_part"].get(part.name))
        users += _check_ranks(part, table, manifest["parameters"]["k"])
        if opened:
            _check_against(part, table, opened, manifest["parameters"]["k"])
    if len(list(path.glob(PARTS))) != len(manifest["rows_by_part"]):
        raise ArtifactError("a part is missing", where=path)
    if opened and manifest["users"] != opened.n_users:
        raise ArtifactError("users of the bundle are missing", where=path)
    parts = len(manifest["rows_by_part"])
    return {"parts": parts, "users": users, "rows": manifest["rows"], "digest": manifest["digest"]}


def _read_part(part: Path, rows: int | None) -> pd.DataFrame:
    table = pq.read_table(part)
    if not table.schema.equals(SCHEMA):
        raise ArtifactError("columns are not those of the contract", where=part)
    if table.num_rows != rows:
        raise ArtifactError(f"{table.num_rows} rows where {rows} belong", where=part)
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _check_ranks(part: Path, table: pd.DataFrame, k: int) -> int:
    """Ranks go from 1 without a gap, scores do not rise, no item twice; counts the users."""
    by_user = table.groupby(Columns.USER_ID, sort=False)
    expected = by_user.cumcount() + 1
    falling = by_user[Columns.SCORE].diff().fillna(0) <= 0
    if not (table[Columns.RANK] == expected).all() or not (expected <= k).all():
        raise ArtifactError("ranks are not 1, 2, 3, … up to k", where=part)
    if not falling.all() or not np.isfinite(table[Columns.SCORE]).all():
        raise ArtifactError("scores rise with the rank, or are not numbers", where=part)
    if table.duplicated([Columns.USER_ID, Columns.ITEM_ID]).any():
        raise ArtifactError("an item stands twice in a user's list", where=part)
    return int(by_user.ngroups)


def _check_against(part: Path, table: pd.DataFrame, bundle: Bundle, k: int) -> None:
    users = bundle.users.indices(table[Columns.USER_ID].tolist())
    items = bundle.items.indices(table[Columns.ITEM_ID].tolist())
    if (users < 0).any() or (items < 0).any():
        raise ArtifactError("holds an id that the bundle does not know", where=part)
    distinct = np.unique(users)
    seen = bundle.seen.pairs(distinct)
    keys = distinct[seen[:, 0]] * bundle.n_items + seen[:, 1]
    if np.isin(users * bundle.n_items + items, keys).any():
        raise ArtifactError("lists an item that its user has seen", where=part)
    counts = np.bincount(np.searchsorted(distinct, users), minlength=distinct.size)
    if (counts != np.minimum(k, bundle.n_items - bundle.seen.counts(distinct))).any():
        raise ArtifactError("a user has fewer rows than unseen items allow", where=part)
