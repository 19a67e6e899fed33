from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ncf.data.interactions import Interactions
from ncf.data.negatives import UnseenItems
from ncf.errors import UsageError
from ncf.training import epoch
from ncf.training.epoch import Samples
from ncf.training.negatives import Negatives
from ncf.training.ranks import ALONE, Ranks

_CPU = torch.device("cpu")


def _world(seed: int, n_users: int, n_items: int) -> Interactions:
    rng = np.random.default_rng(seed)
    seen = rng.random((n_users, n_items)) < 0.9 * rng.random((n_users, 1))
    users, items = np.nonzero(seen)
    return Interactions(users.astype(np.int32), items.astype(np.int32), n_users, n_items)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), n_items=st.integers(2, 9))
def test_negatives_are_every_unseen_item_and_only_those(seed: int, n_items: int) -> None:
    pairs = _world(seed, 5, n_items)
    known = set(zip(pairs.users.tolist(), pairs.items.tolist(), strict=True))
    unseen = UnseenItems(pairs.csr())
    users = torch.from_numpy(np.flatnonzero(unseen.counts > 0))
    drawn = Negatives(unseen, _CPU).draw(users, 400, torch.Generator().manual_seed(seed))
    for user, items in zip(users.tolist(), drawn.tolist(), strict=True):
        expected = {item for item in range(n_items) if (user, item) not in known}
        assert set(items) == expected


def test_negatives_are_uniform() -> None:
    pairs = Interactions(np.array([0, 0], np.int32), np.array([1, 3], np.int32), 1, 6)
    negatives = Negatives(UnseenItems(pairs.csr()), _CPU)
    users = torch.zeros(1, dtype=torch.int32)
    drawn = negatives.draw(users, 40_000, torch.Generator().manual_seed(1))
    counts = np.bincount(drawn.numpy()[0], minlength=6)
    assert counts[[1, 3]].sum() == 0
    # Five standard deviations of a binomial count.
    assert np.abs(counts[[0, 2, 4, 5]] - 10_000).max() < 5 * (40_000 * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("at_once", [1 << 20, 7])
def test_processes_and_parts_share_every_pair_once(
    processes: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epoch, "_POSITIVES_AT_ONCE", at_once)
    pairs = _world(3, 12, 40)
    met: Counter[tuple[int, int]] = Counter()
    for number in range(4):
        positives: list[tuple[int, int]] = []
        negatives = []
        steps = []
        for rank in range(processes):
            samples = Samples(pairs, 2, 12, _CPU, Ranks(rank, processes))
            batches = list(samples.batches(5, number))
            steps.append(len(batches))
            for users, items in batches:
                positives += zip(users.tolist(), items[:, 0].tolist(), strict=True)
            negatives.append([batch.items[:, 1:].tolist() for batch in batches])
        assert len(set(steps)) == 1, "a process with fewer steps would wait for ever"
        assert len(positives) == len(set(positives)), "a pair was met twice in an epoch"
        assert set(positives) <= set(zip(pairs.users.tolist(), pairs.items.tolist(), strict=True))
        if processes == 1:
            assert len(positives) == len(pairs)
        else:
            assert negatives[0] != negatives[1]
            # Fewer than one a part and process are left for another epoch.
            assert len(pairs) - len(positives) < samples.parts * processes
        met.update(positives)
    assert len(met) == len(pairs), "a pair was left out in every epoch"


def test_fewer_pairs_than_processes_are_an_error_that_says_so() -> None:
    pairs = Interactions(np.array([0], np.int32), np.array([1], np.int32), 1, 5)
    with pytest.raises(UsageError, match="1 training pairs are fewer than 2 processes"):
        Samples(pairs, 2, 12, _CPU, Ranks(0, 2))


def test_epochs_and_seeds_differ_and_repeat() -> None:
    samples = Samples(_world(1, 6, 20), 3, 16, _CPU, ALONE)

    def drawn(seed: int, number: int) -> list[object]:
        return [batch.items.tolist() for batch in samples.batches(seed, number)]

    assert drawn(0, 0) == drawn(0, 0)
    assert drawn(0, 0) != drawn(0, 1)
    assert drawn(0, 0) != drawn(1, 0)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), n_items=st.integers(2, 9))
def test_an_item_that_nobody_has_is_a_negative_for_nobody(seed: int, n_items: int) -> None:
    pairs = _world(seed, 5, n_items)
    known = set(zip(pairs.users.tolist(), pairs.items.tolist(), strict=True))
    trained = {item for _, item in known}
    expected = {(user, item) for user, _ in known for item in trained} - known
    if not expected:  # no user lacks a trained item: then the others are all there is
        expected = {(user, item) for user, _ in known for item in range(n_items)} - known
    if not expected:
        with pytest.raises(UsageError, match="nothing to learn from"):
            Samples(pairs, 2, 12, _CPU, ALONE)
        return
    drawn: set[tuple[int, int]] = set()
    for number in range(200):
        for users, items in Samples(pairs, 8, 99, _CPU, ALONE).batches(seed, number):
            rows = zip(users.tolist(), items[:, 1:].tolist(), strict=True)
            drawn |= {(user, item) for user, row in rows for item in row}
        assert drawn <= expected
        if drawn == expected:
            return
    assert drawn == expected
