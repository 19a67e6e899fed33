import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncf.graphs.topk import topk_graph, user_rows
from ncf.graphs.tower import Form
from ncf.models.kinds import Kind
from ncf.scoring.sessions import open_cpu
from tests.oracles import best_unseen, numpy_logit
from tests.worlds import random_weights

Scores = npt.NDArray[np.float64]


def rank(
    graph: bytes,
    rows: npt.NDArray[np.float32],
    seen: npt.NDArray[np.bool_],
    k: int,
    masked: npt.NDArray[np.bool_] | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Run a graph; ``masked`` items are wanted by nobody."""
    masked = np.zeros(seen.shape[1], np.bool_) if masked is None else masked
    feeds = {
        "rows": rows,
        "mask": np.where(masked, -np.inf, 0).astype(np.float32),
        "seen": np.argwhere(seen),
        "k": np.array([k], np.int64),
    }
    items, logits = open_cpu(graph, threads=1).run(["item", "logit"], feeds)
    return items, logits


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", Kind.networks())
def test_500_random_users_get_what_brute_force_gives(kind: Kind, layers: int) -> None:
    n_users, n_items, k = 500, 37, 10
    weights = random_weights(kind, layers, n_users, n_items, seed=layers)
    rng = np.random.default_rng(0)
    # Users with nothing seen, with everything, and with fewer than K unseen among them.
    share = rng.choice([0, 0.2, 0.5, 0.9, 1], (n_users, 1))
    seen = rng.random((n_users, n_items)) < share
    rows = np.concatenate(list(user_rows(weights)))
    answers = [
        rank(topk_graph(weights, Form.LOOP, tile_items=37), rows, seen, k),
        rank(topk_graph(weights, Form.LOOP, tile_items=8), rows, seen, k),
        rank(topk_graph(weights, Form.BLOCK), rows, seen, k),
    ]
    for user in range(n_users):
        scores = {item: numpy_logit(weights, user, item) for item in range(n_items)}
        expected = best_unseen(scores, set(np.flatnonzero(seen[user]).tolist()), k)
        for items, logits in answers:
            valid = np.isfinite(logits[user])
            assert valid[: len(expected)].all()
            assert not valid[len(expected) :].any()
            listed = items[user, valid].tolist()
            assert len(set(listed)) == len(listed)
            assert not seen[user, listed].any()
            # Equal up to ties: each rank's score, and each item's own.
            best = [scores[item] for item in expected]
            np.testing.assert_allclose(logits[user, valid], best, atol=1e-5)
            np.testing.assert_allclose([scores[item] for item in listed], best, atol=2e-5)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(Kind.networks()),
    layers=st.integers(1, 5),
    n_items=st.integers(1, 20),
    tile=st.integers(1, 25),
    k=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_catalogue_tile_and_k(
    kind: Kind, layers: int, n_items: int, tile: int, k: int, seed: int
) -> None:
    weights = random_weights(kind, layers, 3, n_items, seed)
    rows = np.concatenate(list(user_rows(weights)))
    rng = np.random.default_rng(seed)
    seen, masked = rng.random((3, n_items)) < 0.4, rng.random(n_items) < 0.2
    items, logits = rank(topk_graph(weights, Form.LOOP, tile), rows, seen, k, masked)
    assert items.shape == logits.shape == (3, min(k, n_items))
    for user in range(3):
        scores = {item: numpy_logit(weights, user, item) for item in range(n_items)}
        expected = best_unseen(scores, set(np.flatnonzero(seen[user] | masked).tolist()), k)
        best = [scores[item] for item in expected]
        np.testing.assert_allclose(logits[user, : len(best)], best, atol=1e-5)
        assert np.isneginf(logits[user, len(best) :]).all()


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("kind", Kind.networks())
def test_a_user_alone_gets_the_same_bits_as_in_a_block(kind: Kind, form: Form) -> None:
    weights = random_weights(kind, 3, 50, 200, seed=3)
    rows = np.concatenate(list(user_rows(weights)))
    graph = topk_graph(weights, form)
    nothing = np.zeros((50, 200), np.bool_)
    items, logits = rank(graph, rows, nothing, 20)
    for user in range(0, 50, 7):
        alone = rank(graph, rows[user : user + 1], nothing[:1], 20)
        np.testing.assert_array_equal(alone[0][0], items[user])
        np.testing.assert_array_equal(alone[1][0], logits[user])


def test_user_rows_come_in_order_whatever_the_piece() -> None:
    weights = random_weights(Kind.NEUMF, 3, 20, 5, seed=1)
    whole = np.concatenate(list(user_rows(weights)))
    pieces = list(user_rows(weights, users_at_once=7))
    assert [len(piece) for piece in pieces] == [7, 7, 6]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-6)


def test_the_same_weights_give_the_same_bytes() -> None:
    weights = random_weights(Kind.NEUMF, 3, 20, 30, seed=1)
    for form in Form:
        assert topk_graph(weights, form) == topk_graph(dict(weights), form)


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("kind", Kind.networks())
def test_an_item_masked_for_everybody_is_ranked_for_nobody(kind: Kind, form: Form) -> None:
    weights = random_weights(kind, 3, 20, 30, seed=5)
    rows = np.concatenate(list(user_rows(weights)))
    mask = np.where(np.arange(30) % 3 == 0, -np.inf, 0).astype(np.float32)
    seen = np.random.default_rng(1).random((20, 30)) < 0.3
    feeds = {"rows": rows, "mask": mask, "seen": np.argwhere(seen), "k": np.array([30])}
    items, logits = open_cpu(topk_graph(weights, form)).run(["item", "logit"], feeds)
    expected = rank(topk_graph(weights, form), rows, seen | np.isneginf(mask), 30)
    valid = np.isfinite(logits)
    assert not np.isneginf(mask[items[valid]]).any()
    np.testing.assert_array_equal(logits, expected[1])
    np.testing.assert_array_equal(items[valid], expected[0][valid])
