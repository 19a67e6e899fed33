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
from ncf.scoring.ranker import Ranker, TopK, Users
from ncf.scoring.seen import Seen

_AUDITED_USERS, _AUDITED_PAIRS = 2048, 1 << 17  # in a block
_POPULAR_USERS = 4096  # whose excluded items are in memory


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
        Ranks trained users, and strangers who are folded in.
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
        users={
            policy.value: int(count)
            for policy, count in by_policy
            if count or policy is not Policy.HISTORY  # named only where there are such users
        },
        audit=sample,
        seconds={
            "score": scored - started,
            "audit": audited - scored,
            "write": written - audited,
        },
    )


def score(task: Task, shard: Shard) -> tuple[Lists, TopK]:
    """Rank a shard's users, strangers last; also return the ranker's lists of the ranked users."""
    audience = task.audience
    users = audience.ranked(shard.start, shard.stop)
    others = audience.others(shard.start, shard.stop)
    top = task.ranker.rank(users, task.k, task.pool, task.started)
    valid = top.valid()
    popular = list(_popular(task, others))
    places = {policy: place for place, policy in enumerate(Policy)}
    lists = Lists(
        users=[*audience.raw_ids(users), *audience.raw_ids(others)],
        counts=np.concatenate([valid.sum(axis=1), [each.size for each in popular]]).astype(
            np.int64
        ),
        items=np.concatenate([top.items[valid], *popular]).astype(np.int64),
        scores=np.concatenate(
            [top.scores[valid], *(np.full(each.size, np.nan, np.float32) for each in popular)]
        ),
        policies=np.array(
            [places[each] for each in audience.policies(shard.start, shard.stop)], np.int64
        ),
    )
    return lists, top


def audit(task: Task, shard: Shard, top: TopK) -> PairSample:
    """Audit the lists of the ranked users; without a screen, the sample is empty."""
    checker = task.audit
    if checker is None:
        return PairSample()
    users = task.audience.ranked(shard.start, shard.stop)

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


def _popular(task: Task, strangers: Users) -> Iterator[npt.NDArray[np.int32]]:
    """Yield the most popular items that each stranger has not seen."""
    popular, eligibility = task.audience.popular, task.audience.eligibility
    for start in range(0, strangers.size, _POPULAR_USERS):
        some = strangers[start : start + _POPULAR_USERS]
        owners, items = eligibility.excluded(some).T
        excluded = Seen.of_pairs(owners, items, (some.size, eligibility.n_items))
        for position in range(some.size):
            if task.stop.is_set():
                raise Stopped
            own = excluded.of(position)
            best = popular[: task.k + own.size]
            task.scored(1)
            yield best[~np.isin(best, own)][: task.k] if own.size else best
