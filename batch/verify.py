"""Check a published run: digests, schema, ranks, completeness, and that no seen item is listed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from batch.audience import Audience, read_audience
from batch.filters import Filters
from batch.manifest import RUN, RunManifest
from batch.options import Layout
from batch.runs import LATEST_FILE, local_copy, open_runs
from batch.shards import Shard, plan
from batch.tables import Style, long_frame, read_table
from ncf.artifacts import open_sealed
from ncf.columns import Columns
from ncf.data.origins import digest_of
from ncf.errors import ArtifactError, UsageError
from ncf.pairs import among, distinct, pair_keys, split_keys
from ncf.policies import Policy
from ncf.scoring.bundle import open_bundle


def verify_run(
    run: str | Path, bundle: Path | None = None, filters: Filters | None = None
) -> dict[str, Any]:
    """Check a run part by part.

    Parameters
    ----------
    run : str or Path
        Folder of the run, or its URI; a run in an object store is copied first.
    bundle : Path, optional
        Bundle of the run; with it, users, seen items and items are checked too.
    filters : Filters, optional
        Files that the run was given, if any; needed with ``bundle``.

    Returns
    -------
    dict
        Counts of ``parts``, ``users`` and ``rows`` checked, and the run's ``digest``.

    Raises
    ------
    ArtifactError
        A part is damaged, missing or wrong; the message names it.
    UsageError
        The run was made with other files than those given.
    """
    with local_copy(str(run)) as copy:
        path = copy
        if (copy / LATEST_FILE).is_file():  # a folder of runs: check the newest one
            path = copy / open_runs(copy).latest()
        manifest = open_sealed(path, RUN)
        audience = _audience(path, manifest, bundle, filters or Filters()) if bundle else None
        asked, parts = manifest.parameters, manifest.rows_by_part
        style = asked.style
        shards = list(plan(manifest.users, asked.shard_users))
        if {style.part(shard.number) for shard in shards} != set(parts):
            raise ArtifactError("its parts do not have all of its users", where=path)
        users = 0
        for shard in shards:
            part = path / style.part(shard.number)
            table = _read(part, style, parts[part.name], shard)
            users += _check_ranks(part, table, asked.k)
            if audience:
                _check_against(part, table, audience, shard, asked.k)
    checked = {"parts": len(shards), "users": users, "rows": manifest.rows}
    return {**checked, "digest": manifest.digest}


def _audience(path: Path, manifest: RunManifest, bundle: Path, filters: Filters) -> Audience:
    opened = open_bundle(bundle)
    recorded = dict(manifest.inputs)
    if (digest := recorded.pop("bundle")) != opened.digest:
        raise ArtifactError(
            f"was scored with bundle {digest[:12]}, but given bundle {opened.digest[:12]}",
            where=path,
            remedy="give the bundle it was scored with",
        )
    given = {name: digest_of(file) for name, file in filters.files().items()}
    for name in sorted(recorded.keys() | given.keys()):
        if recorded.get(name) != given.get(name):
            raise UsageError(
                f"was not run with this `{name}`",
                where=path,
                remedy="give the files of the run, or leave `bundle` out",
            )
    used = manifest.parameters
    filters = replace(filters, keep_spaces=bool(used.keep_spaces), columns=used.columns or {})
    filters = replace(filters, strangers=used.cold_user, refresh=bool(used.refresh))
    audience = read_audience(opened, filters)
    if len(audience) != manifest.users:
        raise ArtifactError("users are missing", where=path)
    return audience


def _read(part: Path, style: Style, rows: int, shard: Shard) -> pd.DataFrame:
    if not part.is_file():
        raise ArtifactError("part is missing", where=part)
    try:
        read = read_table(part, style)
        table = long_frame(read, style)
    except (ValueError, KeyError, OSError, pa.ArrowException) as error:
        raise ArtifactError(str(error), where=part) from error
    if style.layout is Layout.LIST and read.num_rows != shard.stop - shard.start:
        raise ArtifactError("a user has no list, not even an empty one", where=part)
    if len(table) != rows:
        raise ArtifactError(f"{len(table)} rows where {rows} belong", where=part)
    return table


def _check_ranks(part: Path, table: pd.DataFrame, k: int) -> int:
    """Check that ranks have no gap, scores do not rise and items are distinct; count the users."""
    by_user = table.groupby(Columns.USER_ID, sort=False)
    expected = by_user.cumcount() + 1
    if not (table[Columns.RANK] == expected).all() or not (expected <= k).all():
        raise ArtifactError("ranks are not 1, 2, 3, … up to k", where=part)
    if not table[Columns.POLICY].isin([policy.value for policy in Policy]).all():
        raise ArtifactError("there is an unknown policy in it", where=part)
    scored = table[Columns.POLICY] != Policy.POPULAR
    finite = np.isfinite(table[Columns.SCORE])
    rising = by_user[Columns.SCORE].diff() > 0
    if rising.any() or not finite.eq(scored).all():
        raise ArtifactError("scores rise with the rank, or are not numbers", where=part)
    if table.duplicated([Columns.USER_ID, Columns.ITEM_ID]).any():
        raise ArtifactError("an item is in a user's list twice", where=part)
    return int(by_user.ngroups)


def _check_against(
    part: Path, table: pd.DataFrame, audience: Audience, shard: Shard, k: int
) -> None:
    """Compare each row of a part with the items that its user may get."""
    bundle, eligibility = audience.bundle, audience.eligibility
    items = bundle.items.indices(table[Columns.ITEM_ID].tolist())
    if (items < 0).any():
        raise ArtifactError("has an id that the bundle does not know", where=part)
    if not eligibility.items[items].all():
        raise ArtifactError("lists an item that nobody may get", where=part)
    ranked, others = (find(shard.start, shard.stop) for find in (audience.ranked, audience.others))
    raw = [*audience.raw_ids(ranked), *audience.raw_ids(others)]
    seen = eligibility.excluded(np.concatenate([ranked, others]))
    excluded = distinct(pair_keys(seen[:, 0], seen[:, 1], bundle.n_items))
    rows, columns = split_keys(excluded, bundle.n_items)
    taken = np.bincount(rows[eligibility.items[columns]], minlength=len(raw))
    counts = np.minimum(k, eligibility.count() - taken)
    owners = np.repeat(np.arange(len(raw)), counts)
    if table[Columns.USER_ID].tolist() != [raw[owner] for owner in owners.tolist()]:
        raise ArtifactError(
            "its users, or the rows of a user, differ from what is expected", where=part
        )
    if among(pair_keys(owners, items, bundle.n_items), excluded).any():
        raise ArtifactError("lists an item that its user has seen", where=part)
    policies = [each.value for each in audience.policies(shard.start, shard.stop)]
    if table[Columns.POLICY].tolist() != [policies[owner] for owner in owners.tolist()]:
        raise ArtifactError("the policy of a row differs from that of its user", where=part)
