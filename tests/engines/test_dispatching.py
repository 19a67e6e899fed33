"""Shards are handed out a few at a time, late ones twice, and a cluster that is stuck is left."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.engines.dispatching import LATE, NO_NODE, Dispatch
from batch.receipts import Receipt
from ncf.errors import UnreachableError


@dataclass
class _Nodes:
    """Nodes on which a task takes as long as one says; time passes only while one waits."""

    seconds: dict[int, list[float]]  # of each copy of a shard; more than there are: 1 s
    count: int = 2
    dies: set[int] = field(default_factory=set)  # shards whose first copy is lost in the end
    now: float = 0.0
    given: list[int] = field(default_factory=list)
    most: int = 0
    _ends: dict[int, float] = field(default_factory=dict)

    def clock(self) -> float:
        return self.now

    def slots(self) -> int:
        return self.count

    def submit(self, shard: int) -> int:
        copies = self.seconds.get(shard, [])
        takes = copies[min(self.given.count(shard), len(copies) - 1)] if copies else 1.0
        self.given.append(shard)
        self._ends[len(self.given) - 1] = self.now + takes
        return len(self.given) - 1

    def wait(self, running: Sequence[int], seconds: float) -> Sequence[int]:
        self.most = max(self.most, len(running))
        self.now = min(self.now + seconds, *(self._ends[each] for each in running))
        return [each for each in running if self._ends[each] <= self.now]

    def receipt(self, handle: int) -> Receipt:
        shard = self.given[handle]
        if shard in self.dies and handle == self.given.index(shard):
            raise UnreachableError("it died")
        return cast("Receipt", SimpleNamespace(shard=shard))

    def dispatch(self, patience: float = 1000.0) -> Dispatch[int]:
        return Dispatch(self, patience, "1 CPU", self.clock)


def _shards(receipts: Iterator[Receipt]) -> list[int]:
    return [receipt.shard for receipt in receipts]


@given(
    st.dictionaries(st.integers(0, 29), st.lists(st.floats(0.1, 500), min_size=1, max_size=2)),
    st.integers(1, 4),
    st.integers(0, 30),
)
def test_every_shard_gives_one_receipt(
    seconds: dict[int, list[float]], count: int, shards: int
) -> None:
    nodes = _Nodes(seconds, count)
    assert sorted(_shards(nodes.dispatch().run(range(shards)))) == list(range(shards))
    assert nodes.most <= 4 * count  # two for each slot, and copies of those that are late
    assert max((nodes.given.count(each) for each in range(shards)), default=0) <= 2


def test_a_million_shards_are_not_given_out_at_once() -> None:
    nodes = _Nodes({})
    receipts = nodes.dispatch().run(iter(range(1_000_000)))
    for _ in range(10):
        next(receipts)
    assert len(nodes.given) <= 10 + 2 * nodes.count


def test_a_late_shard_is_given_out_once_more_and_the_first_receipt_counts() -> None:
    nodes = _Nodes({3: [900.0, 2.0]})
    done = _shards(nodes.dispatch().run(range(6)))
    assert sorted(done) == list(range(6))
    assert done[-1] == 3
    assert nodes.given.count(3) == 2
    assert LATE <= nodes.now < LATE + 10


def test_nothing_is_late_until_it_takes_three_times_as_long_as_another() -> None:
    nodes = _Nodes({0: [200.0], 1: [500.0], 2: [500.0]})
    assert sorted(_shards(nodes.dispatch().run(range(3)))) == [0, 1, 2]
    assert nodes.given == [0, 1, 2]


def test_a_copy_that_dies_does_no_harm_while_another_runs() -> None:
    nodes = _Nodes({3: [LATE + 5, 20.0]}, dies={3})
    assert sorted(_shards(nodes.dispatch().run(range(4)))) == [0, 1, 2, 3]
    lost = _Nodes({3: [LATE + 5, 20.0, 1.0]}, dies={3})
    _shards(lost.dispatch().run(range(4)))
    assert lost.given.count(3) == 2
    alone = _Nodes({}, dies={1})
    with pytest.raises(UnreachableError, match="it died"):
        _shards(alone.dispatch().run(range(4)))


def test_no_receipt_for_too_long_ends_it_and_each_receipt_begins_the_wait_anew() -> None:
    nodes = _Nodes({each: [8.0] for each in range(5)}, count=1)
    assert len(_shards(nodes.dispatch(10.0).run(range(5)))) == 5
    stuck = _Nodes({1: [1e9], 2: [1e9]})
    with pytest.raises(UnreachableError, match="no receipt came for 50 s, and 2 parts are being"):
        _shards(stuck.dispatch(50.0).run(range(3)))
    assert 51 <= stuck.now < 55


def test_a_cluster_without_nodes_is_waited_for_and_then_left() -> None:
    none = _Nodes({0: [1e9]}, count=0)
    with pytest.raises(UnreachableError, match="no node of the cluster has had 1 CPU for 120 s"):
        _shards(none.dispatch().run(range(9)))
    assert none.now == pytest.approx(NO_NODE, abs=2)
    assert none.given == [0]  # one waits, so that an autoscaler sees that a node is wanted
    late = _Nodes({0: [100.0]}, count=0)
    receipts = late.dispatch().run(range(3))
    late.count = 1
    assert sorted(_shards(receipts)) == [0, 1, 2]
