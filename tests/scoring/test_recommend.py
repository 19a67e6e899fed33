import numpy as np
import pytest

from ncf.data.prepared import PreparedData
from ncf.errors import UsageError
from ncf.policies import Policy
from ncf.scoring.bundle import Bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.queries import Recommendation, Request, Wishes
from ncf.scoring.ranker import TopK
from ncf.scoring.recommend import Recommender
from ncf.scoring.screened import ScreenedRanker


@pytest.fixture(scope="module")
def recommender(bundle: Bundle) -> Recommender:
    return Recommender(bundle, ExactRanker.open(bundle))


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
    known = data.interactions()
    for raw in ("u0", "u17"):
        mine = known.items[known.users == data.users.index(raw)]
        expected = {data.items.raw[item] for item in mine}
        assert {item.item for item in recommender.history(raw)} == expected


def test_an_unknown_user_gets_the_popular_items(
    recommender: Recommender, data: PreparedData
) -> None:
    found = recommender.recommend("nobody", Wishes(30))
    counts = np.bincount(data.interactions().items, minlength=len(data.items))
    listed = [counts[data.items.index(item.item)] for item in found.items]
    assert found.policy is Policy.POPULAR
    assert len({item.item for item in found.items}) == 30
    assert listed == sorted(listed, reverse=True)
    assert all(item.score is None for item in found.items)
    assert recommender.history("nobody") == ()


@pytest.mark.parametrize("k", [0, -1])
def test_nobody_can_wish_for_less_than_one_item(k: int) -> None:
    with pytest.raises(UsageError, match=f"k = {k} is less than 1"):
        Wishes(k)


def test_a_screen_answers_what_it_covers_and_nobody_depends_on_neighbours(
    screened_bundle: Bundle,
) -> None:
    exact = Recommender(screened_bundle, ExactRanker.open(screened_bundle, threads=1))
    screen = ScreenedRanker.open(screened_bundle, threads=1)
    screened = Recommender(screened_bundle, exact._ranker, 1, screen)
    users = screened_bundle.users.raw[:20]
    wishes = [Wishes(3), Wishes(10), Wishes(40), Wishes(500), Wishes(5, include_seen=True)]
    wishes += [Wishes(5, candidates=("i1", "i2", "i3")), Wishes(7, exact=True)]
    requests = [Request(user, wish) for user in users for wish in wishes]
    together = screened.recommend_all(requests)
    assert together == [screened.recommend_all([request])[0] for request in requests]
    wanted = exact.recommend_all(requests)
    for request, found, best in zip(requests, together, wanted, strict=True):
        assert isinstance(found, Recommendation)
        assert isinstance(best, Recommendation)
        covered = request.wishes in wishes[:3]
        if not covered:
            assert found == best
        same = len({item.item for item in found.items} & {item.item for item in best.items})
        assert same >= 0.9 * len(best.items)


def test_the_screen_is_used_only_where_it_is_calibrated(
    screened_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = ScreenedRanker.open(screened_bundle, threads=1)
    asked = []
    rank = screen.rank_rows

    def watched(rows: object, excluded: object, k: int) -> TopK:
        asked.append(k)
        return rank(rows, excluded, k)  # type: ignore[arg-type]

    monkeypatch.setattr(screen, "rank_rows", watched)
    ranker = ExactRanker.open(screened_bundle, threads=1)
    recommender = Recommender(screened_bundle, ranker, 1, screen)
    for wishes in (Wishes(3), Wishes(10), Wishes(11)):
        recommender.recommend("u1", wishes)
    assert asked == [10, 10, 20]
    recommender.recommend("u1", Wishes(3, exclude=("i1", "i2", "i3", "i4", "i5", "i6", "i7", "i8")))
    assert asked.pop() == 20
    recommender.recommend("u1", Wishes(3, exclude=tuple(f"i{item}" for item in range(400))))
    for wishes in (Wishes(3, exact=True), Wishes(3, candidates=("i1",)), Wishes(500)):
        recommender.recommend("u1", wishes)
    assert asked == [10, 10, 20]
