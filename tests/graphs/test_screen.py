import platform

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncf.graphs.screen import Guess, rescore_graph, screen_graph
from ncf.graphs.topk import topk_graph, user_rows
from ncf.graphs.tower import Form, row_width
from ncf.models.kinds import Kind
from ncf.models.weights import Weights
from ncf.scoring.sessions import open_cpu
from tests.oracles import numpy_logit
from tests.worlds import random_weights

Floats = npt.NDArray[np.float32]
TOWERS = [Kind.MLP, Kind.NEUMF]


def blind(weights: Weights, n_items: int, seed: int) -> Guess:
    """A guess that knows nothing of the model: the worst that calibration could come up with."""
    rng = np.random.default_rng(seed)
    rank, relus = int(rng.integers(1, 5)), int(rng.integers(1, 6))
    width, d = weights["mlp.tower.0.bias"].size, row_width(weights)

    def drawn(*shape: int) -> Floats:
        return rng.normal(size=shape).astype(np.float32)

    encoder = drawn(d + relus, rank)
    directions = drawn(width, relus)
    return Guess(
        directions, drawn(relus), encoder, drawn(rank), drawn(rank, n_items), drawn(n_items)
    )


def feeds(
    weights: Weights, seen: npt.NDArray[np.bool_], k: int, mask: Floats | None = None
) -> dict[str, npt.NDArray[np.generic]]:
    return {
        "rows": np.concatenate(list(user_rows(weights))),
        "mask": np.zeros(seen.shape[1], np.float32) if mask is None else mask,
        "seen": np.argwhere(seen),
        "k": np.array([k], np.int64),
    }


def screened(
    graph: bytes, given: dict[str, npt.NDArray[np.generic]], candidates: int
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Run a graph; ``k`` and ``candidates`` in the range that it takes."""
    n_items = given["mask"].size
    k = np.minimum(given["k"], n_items)
    between = np.clip(candidates, k, n_items).astype(np.int64)
    given = {**given, "k": k, "candidates": between, "skip": np.array([0], np.int64)}
    given["scored"] = between
    items, logits = open_cpu(graph, threads=1).run(["item", "logit"], given)
    return items, logits


def exact_table(weights: Weights, n_users: int, n_items: int) -> npt.NDArray[np.float64]:
    table = [[numpy_logit(weights, u, i) for i in range(n_items)] for u in range(n_users)]
    return np.array(table)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(TOWERS),
    layers=st.integers(1, 5),
    n_items=st.integers(1, 25),
    k=st.integers(1, 30),
    candidates=st.integers(-1, 40),
    share=st.sampled_from([0, 0.3, 0.95, 1]),
    seed=st.integers(0, 2**32 - 1),
)
def test_lists_are_exact_in_all_but_their_choice_however_bad_the_guess(
    kind: Kind, layers: int, n_items: int, k: int, candidates: int, share: float, seed: int
) -> None:
    weights = random_weights(kind, layers, 3, n_items, seed)
    rng = np.random.default_rng(seed)
    seen = rng.random((3, n_items)) < share
    mask = np.where(rng.random(n_items) < 0.1, -np.inf, 0).astype(np.float32)
    stand_in = blind(weights, n_items, seed)
    given_ = feeds(weights, seen, k, mask)
    items, logits = screened(screen_graph(weights, stand_in), given_, candidates)
    assert items.shape == logits.shape == (3, min(k, n_items))
    exact = exact_table(weights, 3, n_items)
    guess = stand_in.logits(np.concatenate(list(user_rows(weights)))).astype(np.float64)
    wanted = ~seen & np.isfinite(mask)
    for user in range(3):
        valid = np.isfinite(logits[user])
        listed = items[user, valid]
        assert valid.sum() == min(k, wanted[user].sum())
        assert valid[: valid.sum()].all()
        assert np.unique(listed).size == listed.size
        assert wanted[user, listed].all()
        np.testing.assert_allclose(logits[user, valid], exact[user, listed], atol=1e-4)
        assert (np.diff(logits[user, valid]) <= 0).all()
        # Whatever is clearly among the best guesses was a candidate, and so could not be missed.
        count = min(n_items, max(k, candidates))
        order = np.sort(guess[user, wanted[user]])[::-1]
        cut = order[count - 1] + 1e-2 if count < order.size else -np.inf
        sure = np.flatnonzero(wanted[user] & (guess[user] > cut))
        last = logits[user, valid].min(initial=np.inf)
        assert set(sure[exact[user, sure] > last + 1e-4]) <= set(listed)


@settings(max_examples=20, deadline=None)
@given(
    kind=st.sampled_from(TOWERS),
    k=st.integers(1, 6),
    skip=st.integers(1, 12),
    more=st.integers(6, 20),
    seed=st.integers(0, 2**32 - 1),
)
def test_candidates_that_were_scored_before_are_left_out_and_all_others_scored(
    kind: Kind, k: int, skip: int, more: int, seed: int
) -> None:
    weights = random_weights(kind, 3, 4, 40, seed)
    seen = np.random.default_rng(seed).random((4, 40)) < 0.1
    graph = screen_graph(weights, blind(weights, 40, seed))
    session = open_cpu(graph, threads=1)

    def best(length: int, before: int, after: int) -> list[set[int]]:
        numbers = {"k": length, "candidates": after, "skip": before, "scored": after - before}
        given_ = feeds(weights, seen, k) | {n: np.array([v], np.int64) for n, v in numbers.items()}
        items, logits = session.run(["item", "logit"], given_)
        return [set(i[np.isfinite(s)]) for i, s in zip(items, logits, strict=True)]

    first, later = best(skip, 0, skip), best(more, skip, skip + more)
    every = best(skip + more, 0, skip + more)
    for one, two, both in zip(first, later, every, strict=True):
        assert not one & two
        assert one | two == both


@pytest.mark.parametrize("kind", TOWERS)
def test_the_margin_is_the_room_above_the_other_guesses_in_errors_of_the_guess(kind: Kind) -> None:
    weights = random_weights(kind, 3, 30, 50, seed=4)
    guess = blind(weights, 50, 4)
    given_ = feeds(weights, np.zeros((30, 50), np.bool_), 5)
    numbers = {name: np.array([n]) for name, n in (("candidates", 20), ("skip", 0), ("scored", 20))}
    graph = open_cpu(screen_graph(weights, guess), 1)
    (margins,) = graph.run(["margin"], given_ | numbers)
    guesses = guess.logits(np.concatenate(list(user_rows(weights)))).astype(np.float64)
    exact = exact_table(weights, 30, 50)
    for user in range(30):
        chosen = np.argsort(-guesses[user])[:20]
        errors = exact[user, chosen] - guesses[user, chosen]
        last = np.sort(exact[user, chosen])[-5]
        room = last - guesses[user, chosen].min() - errors.mean()
        assert margins[user] == pytest.approx(room / errors.std(), rel=1e-3, abs=1e-3)
    # Where nothing else is left, nothing can be missed.
    everything = {**given_, **numbers, "candidates": np.array([50]), "scored": np.array([50])}
    everything["seen"] = np.argwhere(np.ones((30, 50)) * (np.arange(50) < 10)).astype(np.int64)
    assert (graph.run(["margin"], everything)[0] > 1e30).all()


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", TOWERS)
def test_with_every_item_a_candidate_the_lists_are_those_of_the_exact_graph(
    kind: Kind, layers: int
) -> None:
    weights = random_weights(kind, layers, 50, 60, seed=layers)
    seen = np.random.default_rng(0).random((50, 60)) < 0.4
    given_ = feeds(weights, seen, 20)
    found = screened(screen_graph(weights, blind(weights, 60, 1)), given_, 60)
    exact = open_cpu(topk_graph(weights, Form.LOOP), 1).run(["item", "logit"], given_)
    np.testing.assert_allclose(found[1], exact[1], atol=1e-5)
    if platform.machine() == "x86_64":  # the same arithmetic in the same order: no bit differs
        np.testing.assert_array_equal(found[1], exact[1])
        valid = np.isfinite(exact[1])
        np.testing.assert_array_equal(found[0][valid], exact[0][valid])


@pytest.mark.parametrize("kind", TOWERS)
def test_equal_items_stand_by_ascending_index(kind: Kind) -> None:
    weights = random_weights(kind, 3, 4, 30, seed=2)
    for name, array in weights.items():
        if name.endswith("item.weight"):
            array[:] = array[:10].repeat(3, axis=0)
    given_ = feeds(weights, np.zeros((4, 30), np.bool_), 12)
    items, logits = screened(screen_graph(weights, blind(weights, 30, 3)), given_, 30)
    for user in range(4):
        for place in range(11):
            if logits[user, place] == logits[user, place + 1]:
                assert items[user, place] < items[user, place + 1]
        assert (np.sort(items[user].reshape(4, 3), axis=1) == items[user].reshape(4, 3)).all()


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", TOWERS)
def test_given_items_are_rescored_exactly(kind: Kind, layers: int) -> None:
    weights = random_weights(kind, layers, 7, 40, seed=layers)
    items = np.random.default_rng(0).integers(0, 40, (7, 5))
    rows = np.concatenate(list(user_rows(weights)))
    (logits,) = open_cpu(rescore_graph(weights)).run(["logit"], {"rows": rows, "item": items})
    for user in range(7):
        expected = [numpy_logit(weights, user, item) for item in items[user].tolist()]
        np.testing.assert_allclose(logits[user], expected, atol=1e-5)


def test_the_same_screen_gives_the_same_bytes() -> None:
    weights = random_weights(Kind.NEUMF, 3, 20, 30, seed=1)
    stand_in = blind(weights, 30, 1)
    assert screen_graph(weights, stand_in) == screen_graph(dict(weights), stand_in)
    assert rescore_graph(weights) == rescore_graph(dict(weights))
