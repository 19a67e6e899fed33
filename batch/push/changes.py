"""Find whose lists changed between two runs, chunk by chunk, in memory that does not grow."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.buckets import Buckets, bucket_count
from batch.codes import POLICIES, ItemCodes, coded_lists, padded, whole
from batch.push.targets import LISTS, Chunk
from batch.reading import Source
from ncf.policies import Policy

USERS_A_CHUNK = 10_000
_POPULAR = POLICIES.index(Policy.POPULAR)
_NOBODY = pa.array([], pa.string())


def all_lists(run: Source) -> Iterator[Chunk]:
    """Give all lists of a run, in its order.

    Raises
    ------
    ArtifactError
        A part is damaged or missing.
    """
    number = 0
    for table in run.tables():
        items = ItemCodes()
        lists = coded_lists(table, run.style, items)
        for start in range(0, lists.num_rows, USERS_A_CHUNK):
            some = lists.slice(start, USERS_A_CHUNK)
            yield Chunk(number, decoded(some, items), _NOBODY, _NOBODY)
            number += 1


@contextmanager
def changes(before: Source, after: Source) -> Iterator[Iterator[Chunk]]:
    """Compare two runs, user by user; order and numbers of the chunks depend on them alone.

    Raises
    ------
    ArtifactError
        A part is damaged or missing.
    StorageError
        The folder of temporary files is full.
    """
    items, runs = ItemCodes(), (before, after)
    count = bucket_count(sum(run.rows.values()) for run in runs)
    with TemporaryDirectory(prefix="ncf-push-") as scratch:
        both = []
        for name, run in zip("ab", runs, strict=True):
            folder = Path(scratch, name)
            folder.mkdir()
            with Buckets(folder, count) as buckets:
                for table in run.tables():
                    buckets.add(coded_lists(table, run.style, items))
            both.append(buckets)
        yield _chunks(both[0], both[1], count, items)


def _chunks(before: Buckets, after: Buckets, count: int, items: ItemCodes) -> Iterator[Chunk]:
    number = 0
    for bucket in range(count):
        a, b = before.read(bucket), after.read(bucket)
        if a is None and b is None:
            continue
        split = _split(a, b)
        most = max(split.changed.num_rows, len(split.gone), len(split.same))
        for start in range(0, most, USERS_A_CHUNK):
            some = split.changed.slice(start, USERS_A_CHUNK)
            gone, same = (
                each.slice(min(start, len(each)), USERS_A_CHUNK)
                for each in (split.gone, split.same)
            )
            yield Chunk(number, decoded(some, items), gone, same)
            number += 1


@dataclass(frozen=True)
class _Split:
    changed: pa.Table
    gone: pa.Array
    same: pa.Array


def _split(a: pa.Table | None, b: pa.Table | None) -> _Split:
    """Part the users of two tables: with another list than before, gone, and with the same."""
    if b is None:
        assert a is not None  # noqa: S101 - the caller has looked
        return _Split(a.slice(0, 0), whole(a["user"]), _NOBODY)
    if a is None:
        return _Split(b, _NOBODY, _NOBODY)
    old, new = whole(a["user"]), whole(b["user"])
    place = pc.index_in(new, old)
    known = place.is_valid().to_numpy(zero_copy_only=False)
    rows = place.drop_null()
    same = np.zeros(len(new), np.bool_)
    same[known] = _equal(a.take(rows), b.filter(pa.array(known)))
    gone = old.filter(pc.invert(pc.is_in(old, new)))
    return _Split(b.filter(pa.array(~same)), gone, new.filter(pa.array(same)))


def _equal(a: pa.Table, b: pa.Table) -> npt.NDArray[np.bool_]:
    """Compare lists row by row: items, scores to the bit, and policies."""
    found: npt.NDArray[np.bool_] = a["policy"].to_numpy() == b["policy"].to_numpy()
    counts = [pc.list_value_length(whole(each["items"])).to_numpy() for each in (a, b)]
    found &= counts[0] == counts[1]
    width = int(max(1, *(int(each.max(initial=0)) for each in counts)))
    for name, pad in (("items", -1), ("scores", np.nan)):
        one, other = (padded(each[name], width, pad=pad) for each in (a, b))
        bits = np.int32
        found &= (one.view(bits) == other.view(bits)).all(axis=1)
    return found


def decoded(lists: pa.Table, items: ItemCodes) -> pa.Table:
    """Turn coded lists into those of :data:`LISTS`."""
    coded, scores = whole(lists["items"]), whole(lists["scores"])
    raw = pa.array(items.raw, pa.string())
    policies = whole(lists["policy"]).to_numpy()
    popular = pa.array(policies == _POPULAR)
    ids = pa.ListArray.from_arrays(_offsets(coded), raw.take(coded.flatten()))
    values = pa.ListArray.from_arrays(_offsets(scores), scores.flatten(), mask=popular)
    names = pa.array(POLICIES, pa.string()).take(pa.array(policies.astype(np.int32)))
    return pa.table([whole(lists["user"]), ids, values, names], schema=LISTS)


def _offsets(lists: pa.Array) -> pa.Array:
    counts = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    return pa.array(np.append(0, np.cumsum(counts)).astype(np.int32))
