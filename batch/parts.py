"""Make parts: score each shard of the audience and write it as one file.

Making a part depends on its arguments alone, so that engines other than the threads of
:mod:`batch.engines.threads` do it elsewhere, to the same bytes.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch.audience import Audience
from batch.carried import Carried
from batch.rounds import PHASES, Found, Round
from batch.shards import Shard
from batch.tables import Lists, Style, write_lists
from ncf.policies import Policy
from ncf.proof.audit import Missed, PairAudit
from ncf.proof.recall import PairSample
from ncf.scoring.ranker import Ranker, TopK, Users
from ncf.scoring.rescorer import Rescorer
from ncf.scoring.screened import ScreenedRanker, merged
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
    rounds : tuple of Round
        Rounds of screening and audit; none for exact ranking.
    rescorer : Rescorer or None
        Scores the pairs of an audit; None for exact ranking.
    carried : Carried or None
        Lists that are taken over from an earlier run; None ranks all users.
    pool : Executor or None
        Threads for the blocks of a shard.
    stop : threading.Event
        Set to stop the scoring after the current block.
    """

    audience: Audience
    ranker: Ranker
    k: int
    style: Style = field(default_factory=Style)
    rounds: tuple[Round, ...] = ()
    rescorer: Rescorer | None = None
    carried: Carried | None = None
    pool: Executor | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def item_ids(self) -> pa.Array:
        """Raw ids of all items by index."""
        return pa.array(self.audience.bundle.items.raw, pa.string())

    def require_running(self, users: int = 0) -> None:  # noqa: ARG002 - as rankers call it
        """Stop before a block of users if the run is stopping."""
        if self.stop.is_set():
            raise Stopped


@dataclass(frozen=True)
class Made:
    """A part, and what is known of it.

    Parameters
    ----------
    content : bytes
        The file.
    rows : int
        Count of rows.
    users : mapping
        Count of users by policy.
    seconds : mapping
        Seconds that scoring, the audit and writing took, in all rounds.
    found : Found or None
        What the rounds have found; None for exact ranking.
    """

    content: bytes
    rows: int
    users: Mapping[str, int]
    seconds: Mapping[str, float]
    found: Found | None = None


def make_part(task: Task, shard: Shard, before: Found | None = None) -> Made:
    """Score a shard, and make its part in memory.

    Parameters
    ----------
    task : Task
        How to score and to write.
    shard : Shard
        Users of the part.
    before : Found, optional
        What earlier rounds have found; if not given, all rounds are gone through.
    """
    seconds = Counter(before.seconds if before else {})
    found = before
    for number in range(len(found.samples) if found else 0, len(task.rounds)):
        found = go_round(task, shard, found, number, seconds)
    started = time.perf_counter()
    lists = score(task, shard, found.top if found else None)
    scored = time.perf_counter()
    file = BytesIO()
    write_lists(lists, task.item_ids, task.style, file)
    seconds.update({"score": scored - started, "write": time.perf_counter() - scored})
    spent = {phase: float(seconds[phase]) for phase in PHASES}
    by_policy = zip(Policy, np.bincount(lists.policies, minlength=len(Policy)), strict=True)
    return Made(
        content=file.getvalue(),
        rows=lists.items.size,
        users={
            policy.value: int(count)
            for policy, count in by_policy
            if count or policy is not Policy.HISTORY  # named only where there are such users
        },
        seconds=spent,
        found=replace(found, seconds=spent) if found else None,
    )


def go_round(
    task: Task, shard: Shard, found: Found | None, number: int, seconds: Counter[str]
) -> Found:
    """Screen a shard's ranked users with the candidates of a round, and audit their lists."""
    now = task.rounds[number]
    users = task.audience.ranked(shard.start, shard.stop)
    started = time.perf_counter()
    ranker = task.ranker
    if not isinstance(ranker, ScreenedRanker):
        raise TypeError("rounds are for a screen")
    if found is None:
        carried = task.carried if now.width == 1 else None
        top = _ranked(task, ranker.widened(now.width), users, carried)
        found = Found(top, Missed.joined([]), ())
    elif now.width > (width := task.rounds[number - 1].width):
        later = ranker.widened(now.width).beyond(width)
        top = merged(found.top, later.rank(users, task.k, task.pool, task.require_running))
        still = found.missed.still(top, task.audience.bundle.n_items)
        found = Found(top, still, found.samples)
    scored = time.perf_counter()
    sample, missed = audit(task, shard, found.top, now)
    drawn = (found.samples[-1].drawn if found.samples else 0.0) + sample.drawn
    missed = Missed.joined([found.missed, missed])
    sample = replace(sample, drawn=drawn, missed=missed.positions.size)
    seconds.update({"score": scored - started, "audit": time.perf_counter() - scored})
    return Found(found.top, missed, (*found.samples, sample))


def score(task: Task, shard: Shard, top: TopK | None = None) -> Lists:
    """Rank a shard's users, strangers last; ``top`` holds the ranked users' lists if known."""
    audience = task.audience
    users = audience.ranked(shard.start, shard.stop)
    others = audience.others(shard.start, shard.stop)
    if top is None:
        top = _ranked(task, task.ranker, users, task.carried)
    valid = top.valid()
    popular = list(_popular(task, others))
    places = {policy: place for place, policy in enumerate(Policy)}
    return Lists(
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


def audit(task: Task, shard: Shard, top: TopK, now: Round) -> tuple[PairSample, Missed]:
    """Draw the pairs of a round, and count those that the ranked users' lists miss."""
    users = task.audience.ranked(shard.start, shard.stop)
    if task.rescorer is None:
        raise TypeError("an audit needs a rescorer")
    checker = PairAudit(task.audience.eligibility, task.rescorer, now.each, now.seed)

    def block(start: int) -> tuple[PairSample, Missed]:
        task.require_running()
        part = slice(start, start + step)
        sample, missed = checker.draw(
            users[part],
            TopK(top.items[part], top.scores[part]),
            np.random.default_rng([now.seed, shard.start + start]),
        )
        return sample, missed.moved(start)

    step = max(1, min(_AUDITED_USERS, int(_AUDITED_PAIRS / max(1.0, now.each))))
    starts = range(0, users.size, step)
    drawn = list((task.pool.map if task.pool else map)(block, starts))
    return sum((each for each, _ in drawn), PairSample()), Missed.joined([m for _, m in drawn])


def _ranked(task: Task, ranker: Ranker, users: Users, carried: Carried | None) -> TopK:
    def rank(some: Users) -> TopK:
        return ranker.rank(some, task.k, task.pool, task.require_running)

    return rank(users) if carried is None else carried.completed(users, rank)


def _popular(task: Task, strangers: Users) -> Iterator[npt.NDArray[np.int32]]:
    """Yield the most popular items that each stranger has not seen."""
    popular, eligibility = task.audience.popular, task.audience.eligibility
    for start in range(0, strangers.size, _POPULAR_USERS):
        some = strangers[start : start + _POPULAR_USERS]
        owners, items = eligibility.excluded(some).T
        excluded = Seen.of_pairs(owners, items, (some.size, eligibility.n_items))
        for position in range(some.size):
            task.require_running()
            own = excluded.of(position)
            best = popular[: task.k + own.size]
            yield best[~np.isin(best, own)][: task.k] if own.size else best
