from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from ncf.proof.audit import PairAudit
from ncf.proof.recall import recalls
from ncf.scoring.bundle import Bundle
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.exact import ExactRanker
from ncf.scoring.ranker import TopK
from ncf.scoring.rescorer import Rescorer
from ncf.scoring.seen import Fresh

EVERYBODY = np.arange(240)


def _spoiled(found: TopK, users: int) -> TopK:
    """Take the best item from some users' lists, as a bad screen would, and fill up at the end."""
    items, scores = found.items.copy(), found.scores.copy()
    items[:users, :-1], scores[:users, :-1] = items[:users, 1:], scores[:users, 1:]
    return TopK(items[:, :-1], scores[:, :-1])


@pytest.mark.parametrize("spoiled", [0, 20, 240])
def test_an_audit_of_every_pair_counts_what_is_missing(
    spoiled: int, screened_bundle: Bundle
) -> None:
    class EveryItem(np.random.Generator):
        def integers(self, low: int, high: int, size: tuple[int, int]) -> npt.NDArray[np.int64]:  # type: ignore[override]
            assert low == 0
            return np.tile(np.arange(high), (size[0], 1))

    exact = ExactRanker.open(screened_bundle).rank(EVERYBODY, 6)
    audit = PairAudit(screened_bundle.eligibility, Rescorer.open(screened_bundle), each=1000)
    rng = EveryItem(np.random.PCG64(0))
    sample = audit(EVERYBODY, _spoiled(exact, spoiled), rng)
    assert (sample.missed, sample.listed) == (spoiled, 240 * 5)
    assert sample.recall() == pytest.approx(1 - spoiled / (240 * 5))
    # What nobody may get is not missed.
    seen = screened_bundle.seen
    items = np.ones(1000, np.bool_)
    items[exact.items[:spoiled, 0]] = False
    withdrawn = replace(audit, eligibility=Eligibility(items, (seen,)))
    assert withdrawn(EVERYBODY, _spoiled(exact, spoiled), rng).missed == 0
    # Nor what the user has seen since.
    fresh = Fresh.of_pairs(EVERYBODY[:spoiled], exact.items[:spoiled, 0], 1000)
    later = replace(audit, eligibility=Eligibility.whole_catalogue(1000, seen, fresh))
    assert later(EVERYBODY, _spoiled(exact, spoiled), rng).missed == 0


def test_one_users_huge_logits_hide_no_other_users_misses(screened_bundle: Bundle) -> None:
    exact = ExactRanker.open(screened_bundle).rank(EVERYBODY, 6)
    audit = PairAudit(screened_bundle.eligibility, Rescorer.open(screened_bundle), each=3000)
    spoiled = _spoiled(exact, 240)
    scores = spoiled.scores.copy()
    scores[0, 0] = 1e6
    loud = TopK(spoiled.items, scores)
    samples = [audit(EVERYBODY, each, np.random.default_rng(0)) for each in (spoiled, loud)]
    assert samples[0].missed > 600
    assert samples[1].missed >= samples[0].missed - 6
    huge = replace(exact, scores=np.where(np.arange(240)[:, None] == 0, 1e6, exact.scores))
    assert recalls(_spoiled(huge, 240), huge)[1:].max() < 1


@pytest.mark.parametrize("pairs", [60, 240 * 40])
def test_an_audit_estimates_recall_without_bias(pairs: int, screened_bundle: Bundle) -> None:
    exact = ExactRanker.open(screened_bundle).rank(EVERYBODY, 6)
    audit = PairAudit.of_size(
        screened_bundle.eligibility, Rescorer.open(screened_bundle), pairs, 240
    )
    spoiled = _spoiled(exact, 240)
    rng = np.random.default_rng(0)
    repeats = 20_000 // pairs
    found = [audit(EVERYBODY, spoiled, rng) for _ in range(max(4, repeats))]
    assert found[0].drawn == pairs
    total = sum(found[1:], start=found[0])
    expected = total.drawn / 1000  # each user lacks one item of a thousand
    assert abs(total.missed - expected) <= 4 * expected**0.5
    assert total.lower_bound() <= total.recall()


def test_an_audit_compares_lists_with_room_with_everything_unseen(screened_bundle: Bundle) -> None:
    exact = ExactRanker.open(screened_bundle).rank(EVERYBODY, 3)
    scores = exact.scores.copy()
    scores[:, 1:] = -np.inf  # as if there were nothing else to list
    audit = PairAudit(screened_bundle.eligibility, Rescorer.open(screened_bundle), each=50)
    sample = audit(EVERYBODY, TopK(exact.items, scores), np.random.default_rng(0))
    seen_share = screened_bundle.seen.items.size / (240 * 1000)
    assert sample.missed == pytest.approx(240 * 50 * (1 - seen_share), rel=0.05)
