"""What an open bundle answers, in frames."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import ncf
from ncf.api.bundles import Bundle
from ncf.errors import RatingsError, RequestError, UsageError
from ncf.scoring.bundle import Bundle as Opened
from ncf.training.checkpoint import Checkpoint
from tests.api.conftest import World

COLUMNS = ["user_id", "rank", "item_id", "title", "score", "policy"]


@pytest.fixture
def neumf(bundle: Opened) -> Bundle:
    return ncf.open_bundle(bundle.path)


def test_lists_are_those_of_the_published_table(world: World) -> None:
    table = world.run.frame()
    found = world.bundle.recommend(table.user_id.unique(), k=2)
    assert found.columns.tolist() == COLUMNS
    same = ["user_id", "rank", "item_id"]
    assert found[same].to_numpy().tolist() == table[same].to_numpy().tolist()
    assert np.array_equal(found.score.to_numpy(), table.score.to_numpy(np.float64))
    assert set(found.policy) == {"model"}


def test_more_users_than_one_call_takes_get_what_each_gets_alone(neumf: Bundle) -> None:
    users = [f"u{number % 40}" for number in range(600)]
    together = neumf.recommend(users, k=3)
    alone = neumf.recommend("u7", k=3)
    assert len(together) == 1800
    third = together.iloc[3 * 567 : 3 * 568].reset_index(drop=True)
    pd.testing.assert_frame_equal(third, alone.assign(user_id="u7"))


def test_titles_stand_where_they_are_known(neumf: Bundle) -> None:
    found = neumf.recommend("u1", k=30)
    titled = found[found.title.notna()]
    assert 0 < len(titled) < len(found)
    assert (titled.title == titled.item_id.str.replace("film ", "Film №")).all()


def test_wishes_shape_a_list(neumf: Bundle) -> None:
    first, second = neumf.recommend("u1", k=2).item_id
    assert neumf.recommend("u1", k=1, exclude=first).item_id.tolist() == [second]
    assert neumf.recommend("u1", exclude=[first, "no such film"]).item_id[0] == second
    assert neumf.recommend("u1", candidates=[first, second]).item_id.tolist() == [first, second]
    seen = neumf.history("u1").item_id.tolist()
    assert not set(neumf.recommend("u1", k=30).item_id) & set(seen)
    assert set(neumf.recommend("u1", k=30, include_seen=True).item_id) > set(seen)
    with pytest.raises(RequestError, match="unknown item 'x' in 'candidates'"):
        neumf.recommend("u1", candidates=["x"])
    with pytest.raises(UsageError, match="k = 0"):
        neumf.recommend("u1", k=0)


def test_a_stranger_gets_the_popular_list_without_scores(neumf: Bundle) -> None:
    found = neumf.recommend(["stranger", 17], k=2)
    assert set(found.policy) == {"popular"}
    assert found.score.isna().all()
    assert found.item_id.tolist()[:2] == neumf.frame().item_id.tolist()[:2]


def test_nobody_gets_an_empty_frame_of_the_same_columns(neumf: Bundle) -> None:
    found = neumf.recommend([])
    assert (found.columns.tolist(), len(found)) == (COLUMNS, 0)
    assert found.dtypes["score"] == np.float64
    assert neumf.history("stranger").columns.tolist() == ["item_id", "title"]


@pytest.mark.parametrize("users", [["u1", None], [1.0], {"u1": 1}])
def test_ids_that_are_none_are_refused(users: object, neumf: Bundle) -> None:
    with pytest.raises(RatingsError, match="`users`"):
        neumf.recommend(users)  # type: ignore[arg-type]


def test_a_bundle_that_refuses_strangers_says_so(world: World) -> None:
    strict = ncf.export(world.model, world.data, name="strict", cold_user="error", screen=False)
    with pytest.raises(RequestError, match="unknown user 'x'"):
        strict.recommend(["u1", "x"])


def test_scores_of_pairs_are_those_of_the_lists(neumf: Bundle) -> None:
    listed = neumf.recommend(["u3", "u4", "stranger"], k=5)
    found = neumf.score(listed)
    assert found.columns.tolist() == ["user_id", "item_id", "score"]
    np.testing.assert_allclose(found.score[:10], listed.score[:10], atol=1e-5)
    assert found.score[10:].isna().all()
    arrow = neumf.score(pa.table({"userId": listed.user_id, "movieId": listed.item_id}))
    pd.testing.assert_frame_equal(arrow, found)
    pairs = neumf.score(zip(listed.user_id, listed.item_id, strict=True))
    pd.testing.assert_frame_equal(pairs, found)


def test_scores_keep_the_order_and_the_index_of_the_frame(neumf: Bundle) -> None:
    given = pd.DataFrame({"user": ["u2", "u1"], "item": ["film 1", "film 2"]}, index=["b", "a"])
    found = neumf.score(given)
    assert found.index.tolist() == ["b", "a"]
    assert found.score["a"] == neumf.score([("u1", "film 2")]).score[0]
    assert len(neumf.score([])) == 0


def test_similar_items_are_those_of_the_largest_cosine(
    neumf: Bundle, checkpoint: Checkpoint
) -> None:
    weights = checkpoint.weights
    both = np.concatenate([weights["gmf.item.weight"], weights["mlp.item.weight"]], axis=1)
    items = checkpoint.items
    at = items.index("film 4")
    assert at is not None
    cosines = [
        float(np.dot(both[at], other) / np.linalg.norm(both[at]) / np.linalg.norm(other))
        for other in both
    ]
    order = sorted((-cosine, index) for index, cosine in enumerate(cosines) if index != at)
    found = neumf.similar_items("film 4", k=7)
    assert found["rank"].tolist() == list(range(1, 8))
    assert found.item_id.tolist() == [items.raw[index] for _, index in order[:7]]
    np.testing.assert_allclose(found.similarity, [-each for each, _ in order[:7]], atol=1e-6)
    titles = [items.title(index) for _, index in order[:7]]
    assert found.title.astype(object).where(found.title.notna(), None).tolist() == titles
    assert len(neumf.similar_items("film 4", k=100)) == len(items) - 1


def test_an_item_that_the_model_does_not_know_has_no_like(neumf: Bundle) -> None:
    with pytest.raises(RequestError, match="unknown item 'x'; give an id that is in the ratings"):
        neumf.similar_items("x")
    with pytest.raises(UsageError, match="k = 0"):
        neumf.similar_items("film 1", k=0)


def test_taste_shows_in_what_is_similar(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Even users like even films: after some epochs, like films lie in one camp."""
    caplog.set_level(logging.WARNING)
    recipe = {"factors": 8, "schedule": {"epochs": 30, "batch_size": 64, "learning_rate": 0.05}}
    model = ncf.train(world.data, "gmf", out="checkpoints/longer", config=recipe)
    longer = ncf.export(model, world.data, out=Path("longer"))
    found = [longer.similar_items(f"film {item}", k=3) for item in range(30)]
    camps = [
        int(other.removeprefix("film ")) % 2 == item % 2
        for item, frame in enumerate(found)
        for other in frame.item_id
    ]
    assert np.mean(camps) > 0.9


def test_a_history_of_two_users_of_one_name_is_refused(neumf: Bundle) -> None:
    with pytest.raises(UsageError, match="`history` names '1' twice"):
        neumf.recommend(history={1: ["film 1"], "1": ["film 2"]})
