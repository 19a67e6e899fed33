import numpy as np
import pytest

from ncf.data.prepared import PreparedData
from ncf.errors import UsageError
from ncf.policies import Policy
from ncf.scoring.bundle import Bundle
from ncf.scoring.ranking import GraphRanker
from ncf.scoring.recommend import Recommender, Wishes


@pytest.fixture(scope="module")
def recommender(bundle: Bundle) -> Recommender:
    return Recommender(bundle, GraphRanker.open(bundle))


def test_a_known_user_gets_unseen_items_by_raw_id_with_titles(
    recommender: Recommender, data: PreparedData
) -> None:
    found = recommender.recommend("u3", Wishes(30))
    known = {item.item for item in recommender.history("u3")}
    assert found.policy is Policy.MODEL
    assert {item.item for item in found.items} == set(data.items.raw) - known
    scores = [item.score for item in found.items if item.score is not None]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == len(found.items)
    for item in found.items:
        number = int(item.item.removeprefix("film "))
        assert item.title == (f"Film №{number}" if number % 3 == 0 else None)


def test_the_history_is_every_known_interaction(
    recommender: Recommender, data: PreparedData
) -> None:
    known = data.known()
    for raw in ("u0", "u17"):
        mine = known.items[known.users == data.users.index(raw)]
        expected = {data.items.raw[item] for item in mine}
        assert {item.item for item in recommender.history(raw)} == expected


def test_an_unknown_user_gets_the_popular_items(
    recommender: Recommender, data: PreparedData
) -> None:
    found = recommender.recommend("nobody", Wishes(30))
    counts = np.bincount(data.known().items, minlength=len(data.items))
    listed = [counts[data.items.index(item.item)] for item in found.items]
    assert found.policy is Policy.POPULAR
    assert len({item.item for item in found.items}) == 30
    assert listed == sorted(listed, reverse=True)
    assert all(item.score is None for item in found.items)
    assert recommender.history("nobody") == ()


@pytest.mark.parametrize("user", ["u3", "nobody"])
def test_k_under_one_is_refused(user: str, recommender: Recommender) -> None:
    with pytest.raises(UsageError):
        recommender.recommend(user, Wishes(0))
