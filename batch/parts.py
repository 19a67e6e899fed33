"""Make parts: score each shard of the audience and write it as one file.

Making a part depends on its arguments alone, so that an engine other than the threads of
:mod:`batch.engine` can do it elsewhere.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch.audience import Audience
from batch.notes import Note
from batch.shards import Shard
from batch.tables import Lists, Style, write_lists
from ncf.policies import Policy
from ncf.proof.audit import PairAudit
from ncf.proof.recall import PairSample
from ncf.scoring.ranker import Ranker, TopK

_AUDITED_USERS, _AUDITED_PAIRS = 2048, 1 << 17  # in a block


class Stopped(Exception):  # noqa: N818 - not an error: the run was told to stop
    """The run is stopping; blocks that have not begun are not scored."""


@dataclass(frozen=True)
class Task:
    """Everything that scoring and writing shards needs.

    Parameters
    ----------
    audience : Audience
        Users, and the items that they may get.
    ranker : Ranker
        Ranks the trained users.
    k : int
        Largest number of rows for each user, at least 1.
    style : Style
        File format and layout of parts.
    audit : PairAudit or None
        Audits screened lists; None for exact ranking.
    pool : Executor or None
        Threads for the blocks of a shard.
    stop : threading.Event
        Set to stop the scoring after the current block.
    scored : callable
        Called with the count of users of each block.
    """

    audience: Audience
    ranker: Ranker
    k: int
    style: Style = field(default_factory=Style)
    audit: PairAudit | None = None
    pool: Executor | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    scored: Callable[[int], None] = lambda _: None

    @cached_property
    def item_ids(self) -> pa.Array:
        """Raw ids of all items by index."""
        return pa.array(self.audience.bundle.items.raw, pa.string())

    def started(self, users: int) -> None:
        """Count a block of users, or stop if the run is stopping."""
        if self.stop.is_set():
            raise Stopped
        self.scored(users)


def make_part(task: Task, shard: Shard, file: BinaryIO) -> Note:
    """Score a shard and write its part."""
    started = time.perf_counter()
    lists, top = score(task, shard)
    scored = time.perf_counter()
    sample = audit(task, shard, top)
    audited = time.perf_counter()
    write_lists(lists, task.item_ids, task.style, file)
    written = time.perf_counter()
    by_policy = zip(Policy, np.bincount(lists.policies, minlength=len(Policy)), strict=True)
    return Note(
        rows=lists.items.size,
        users={policy.value: int(count) for policy, count in by_policy},
        audit=sample,
        seconds={
            "score": scored - started,
            "audit": audited - scored,
            "write": written - audited,
        },
    )


def score(task: Task, shard: Shard) -> tuple[Lists, TopK]:
    """Rank a shard's users, strangers last; also return the ranker's lists of the trained users."""
    audience = task.audience
    users = audience.trained(shard.start, shard.stop)
    top = task.ranker.rank(users, task.k, task.pool, task.started)
    valid = top.valid()
    first = max(shard.start - audience.n_trained, 0)
    last = max(shard.stop - audience.n_trained, 0)
    popular = list(_popular(task, range(first, last)))
    raw = audience.bundle.users.raw
    whole = users.size and users[-1] - users[0] + 1 == users.size
    lists = Lists(
        users=[
            *(raw[int(users[0]) : int(users[-1]) + 1] if whole else map(raw.__getitem__, users)),
            *audience.strangers[first:last],
        ],
        counts=np.concatenate([valid.sum(axis=1), [each.size for each in popular]]).astype(
            np.int64
        ),
        items=np.concatenate([top.items[valid], *popular]).astype(np.int64),
        scores=np.concatenate(
            [top.scores[valid], *(np.full(each.size, np.nan, np.float32) for each in popular)]
        ),
        policies=np.repeat(np.arange(2), [users.size, len(popular)]),
    )
    return lists, top


def audit(task: Task, shard: Shard, top: TopK) -> PairSample:
    """Audit the trained users' lists; without a screen, the sample is empty."""
    checker = task.audit
    if checker is None:
        return PairSample()
    users = task.audience.trained(shard.start, shard.stop)

    def block(start: int) -> PairSample:
        if task.stop.is_set():
            raise Stopped
        part = slice(start, start + step)
        return checker(
            users[part],
            TopK(top.items[part], top.scores[part]),
            np.random.default_rng([checker.seed, shard.start + start]),
        )

    step = max(1, min(_AUDITED_USERS, int(_AUDITED_PAIRS / max(1.0, checker.each))))
    starts = range(0, users.size, step)
    return sum((task.pool.map if task.pool else map)(block, starts), start=PairSample())


def _popular(task: Task, strangers: range) -> Iterator[npt.NDArray[np.int32]]:
    """Yield the most popular items that each stranger has not seen."""
    popular, seen = task.audience.popular, task.audience.strangers_seen
    for stranger in strangers:
        if task.stop.is_set():
            raise Stopped
        own = seen.of(stranger)
        best = popular[: task.k + own.size]
        task.scored(1)
        yield best[~np.isin(best, own)][: task.k] if own.size else best
