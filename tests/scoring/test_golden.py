import json
from dataclasses import replace
from functools import partial

import pytest

from ncf.errors import ArtifactError
from ncf.policies import Policy
from ncf.scoring.bundle import Bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.golden import Answer, _agree, record, replay
from ncf.scoring.queries import Recommendation, Request, Scored, Wishes
from ncf.scoring.recommend import Recommender


def test_golden_requests_tell_other_items_scores_lengths_and_policies() -> None:
    expected = Answer("u", Policy.MODEL, ("a", "b", "c"), (3.0, 2.0, 1.0))
    changed = partial(replace, expected)

    assert _agree(expected, expected)
    assert _agree(expected, changed(scores=(3.00001, 2.0, 1.0)))
    assert _agree(expected, changed(items=("a", "b", "d")))  # a tie at the end
    assert not _agree(expected, changed(scores=(3.01, 2.0, 1.0)))
    assert not _agree(expected, changed(items=("d", "b", "c")))
    assert not _agree(expected, changed(items=("b", "a", "c")))
    assert not _agree(expected, changed(items=("a", "b"), scores=(3.0, 2.0)))
    popular = changed(policy=Policy.POPULAR, scores=(None,) * 3)
    assert not _agree(expected, popular)
    assert _agree(popular, popular)
    assert not _agree(
        popular, changed(policy=Policy.POPULAR, scores=(None,) * 3, items=("b", "a", "c"))
    )


def test_a_replay_asks_every_golden_request(bundle: Bundle) -> None:
    class Other(Recommender):
        def recommend(self, user: str, wishes: Wishes) -> Recommendation:
            found = super().recommend(user, wishes)
            if user != last:
                return found
            items = (Scored("elsewhere", None, 1e6), *found.items[1:])
            return Recommendation(user, Policy.MODEL, items)

    recommender = Recommender(bundle, ExactRanker.open(bundle))
    assert replay(bundle, recommender) == 11
    last = bundle.users.raw[-1]
    with pytest.raises(ArtifactError, match=f"user {last!r}"):
        replay(bundle, Other(bundle, ExactRanker.open(bundle)))
    assert (
        len(
            json.loads(record(recommender, [Request("u1", Wishes()), Request("u2", Wishes())], 3))[
                "answers"
            ]
        )
        == 2
    )
