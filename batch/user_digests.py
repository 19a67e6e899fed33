"""Keep who is in a run and what was excluded for each of them, as digests: ``_users.parq``.

The next run takes a user's list over if their digest and policy are the same: it depends on
nothing else but the bundle and the items that may be listed, which are kept too.
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from batch.audience import Audience
from ncf.columns import Columns
from ncf.pairs import among
from ncf.policies import Policy
from ncf.scoring.ranker import Pairs, Users

DIGEST = "digest"
_BYTES = 16
_AT_ONCE = 1 << 16
_ITEMS, _COUNT = b"ncf.items", b"ncf.n_items"
_SCHEMA = pa.schema(
    [
        pa.field(Columns.USER_ID, pa.string(), nullable=False),
        pa.field(Columns.POLICY, pa.string(), nullable=False),
        pa.field(DIGEST, pa.binary(_BYTES)),  # null where there is no pair
    ]
)


@dataclass(frozen=True)
class UserDigests:
    """The users of a run.

    Parameters
    ----------
    users : pyarrow.ChunkedArray of strings
        Raw ids of all users, in the order of the run.
    policies : pyarrow.ChunkedArray of strings
        Their policies.
    digests : pyarrow.ChunkedArray of 16 bytes each
        Digests of their pairs since the export; null for users without one.
    items : bool array of shape (items,)
        Whether an item could be listed at all.
    """

    users: pa.ChunkedArray
    policies: pa.ChunkedArray
    digests: pa.ChunkedArray
    items: npt.NDArray[np.bool_]


def users_file(audience: Audience) -> bytes:
    """Write the users of an audience; equal audiences give equal bytes."""
    items = audience.eligibility.items
    facts = {
        _ITEMS: base64.b64encode(np.packbits(items).tobytes()),
        _COUNT: str(items.size).encode(),
    }
    content = BytesIO()
    schema = _SCHEMA.with_metadata(facts)
    with pq.ParquetWriter(content, schema, compression="zstd", store_schema=False) as writer:
        # What the file says of itself: without it, readers would not get the metadata back.
        writer.add_key_value_metadata(facts)
        for start in range(0, len(audience), _AT_ONCE):
            stop = min(start + _AT_ONCE, len(audience))
            parts = audience.ranked(start, stop), audience.others(start, stop)
            users = np.concatenate(parts)
            columns = [
                pa.array([raw for part in parts for raw in audience.raw_ids(part)], pa.string()),
                pa.array([policy.value for policy in audience.policies(start, stop)]),
                pa.array(digests_of(audience, users), pa.binary(_BYTES)),
            ]
            writer.write_table(pa.table(columns, schema=schema))
    return content.getvalue()


def read_users(content: bytes) -> UserDigests:
    """Read the users of a run.

    Raises
    ------
    ValueError
        It is no such file.
    """
    try:
        file = pq.ParquetFile(BytesIO(content))
        facts: dict[bytes, Any] = file.metadata.metadata or {}
        table, count = file.read(), int(facts[_COUNT])
        bits = np.frombuffer(base64.b64decode(facts[_ITEMS]), np.uint8)
        items = np.unpackbits(bits, count=count).astype(np.bool_)
    except (KeyError, OSError, pa.ArrowException) as error:
        raise ValueError(f"the file of users is damaged ({error})") from error
    if table.column_names != _SCHEMA.names:
        raise ValueError(f"the file of users has columns {', '.join(table.column_names)}")
    return UserDigests(table[0], table[1], table[2], items)


def digests_of(audience: Audience, users: Users) -> list[bytes | None]:
    """Digest each user's interactions since the export and pairs not to list.

    What the bundle itself says of a user is left out: it is the same for the same bundle. A user
    whose row is refreshed has another digest than one with the same pairs whose row is not.
    """
    selection = audience.selection
    none = np.empty((0, 2), np.int64)
    refused = none if selection.refused is None else selection.refused.pairs(users)
    sources = [selection.since.pairs(users), refused]
    found: list[bytes | None] = [None] * users.size
    refreshed = among(users, selection.refreshed).tolist()
    with_pairs = np.unique(np.concatenate([pairs[:, 0] for pairs in sources]))
    columns = [_by_user(pairs, with_pairs) for pairs in sources]
    for position, since, others in zip(with_pairs.tolist(), *columns, strict=True):
        kind = b"refreshed" if refreshed[position] else b""
        digest = hashlib.blake2b(kind, digest_size=_BYTES)
        digest.update(len(since).to_bytes(8, "little") + since + others)
        found[position] = digest.digest()
    return found


def ranked_policies() -> list[str]:
    """Name the policies of users whom the ranker ranks."""
    return [policy.value for policy in Policy if policy is not Policy.POPULAR]


def _by_user(pairs: Pairs, positions: npt.NDArray[np.int64]) -> Iterator[bytes]:
    """Yield the items of each position as bytes; both are ascending."""
    items = memoryview(pairs[:, 1].astype("<i8").tobytes())
    starts = np.searchsorted(pairs[:, 0], positions) * 8
    stops = np.searchsorted(pairs[:, 0], positions, "right") * 8
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        yield bytes(items[start:stop])
