"""Whatever the model, lists end up exact: by a screen that proves itself, or by its absence."""

import re

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

from export.screen.assembly import ScreenGraphs, make_screen
from export.screen.calibration import Options
from export.screen.cost import Cost
from export.screen.judging import Needs
from export.screen.trial import _recalls_of
from ncf.graphs.topk import topk_graph, user_rows
from ncf.graphs.tower import Form
from ncf.models.architecture import Architecture
from ncf.models.kinds import Kind
from ncf.models.weights import Weights
from ncf.proof.recall import recalls
from ncf.scoring.bundle import RESCORE_GRAPH, SCREEN_GRAPH
from ncf.scoring.ranker import TopK
from ncf.scoring.screen_manifest import Calibrated, NoScreen, Screen
from ncf.scoring.sessions import open_cpu
from tests.worlds import drawn_weights

N_USERS, N_ITEMS = 300, 1200


def _weights(kind: Kind = Kind.NEUMF, *, layers: int = 3) -> Weights:
    """As trained ones are: users differ in a few tastes."""
    return drawn_weights(Architecture(kind, N_USERS, N_ITEMS, 16, layers), 0, 0.5, tastes=2)


def _nobody_saw(n_users: int = N_USERS, n_items: int = N_ITEMS) -> sparse.csr_array:
    return sparse.csr_array(np.zeros((n_users, n_items), np.int8))


def _rows(weights: Weights) -> npt.NDArray[np.float32]:
    return np.concatenate(list(user_rows(weights)))


def _seen(share: float) -> sparse.csr_array:
    drawn = np.random.default_rng(0).random((N_USERS, N_ITEMS)) < share
    return sparse.csr_array(drawn.astype(np.int8))


def _lists(screen: ScreenGraphs) -> tuple[Calibrated, ...]:
    return screen.facts.by_k if isinstance(screen.facts, Screen) else ()


def _recall_of_everybody(
    weights: Weights, screen: ScreenGraphs, seen: sparse.csr_array, k: int
) -> npt.NDArray[np.float64]:
    """By graphs alone, apart from how the calibration measures it."""
    (calibrated,) = (e for e in _lists(screen) if e.k == k)
    feeds = {
        "rows": _rows(weights),
        "mask": np.zeros(seen.shape[1], np.float32),
        "seen": np.stack(seen.nonzero(), axis=1).astype(np.int64),
        "k": np.array([k], np.int64),
    }
    exact = TopK(*open_cpu(topk_graph(weights, Form.LOOP)).run(["item", "logit"], feeds))
    count = calibrated.candidates
    numbers = {"candidates": count, "skip": 0, "scored": count}
    given = {**feeds, **{name: np.array([value], np.int64) for name, value in numbers.items()}}
    outputs = ["item", "logit", "margin"]
    items, scores, margins = open_cpu(screen.graphs[SCREEN_GRAPH]).run(outputs, given)
    if calibrated.least_margin is not None:  # these are ranked exactly
        hard = margins < calibrated.least_margin
        items[hard], scores[hard] = exact.items[hard], exact.scores[hard]
    found = TopK(items, scores)
    assert not sparse.csr_array(seen)[
        np.nonzero(found.valid())[0], found.items[found.valid()]
    ].any()
    return recalls(found, exact)


def test_calibration_and_proof_agree_on_what_a_near_tie_is() -> None:
    logits = np.array([[3, 2, 2 - 1e-6, 1, 0], [3, 2, 1.9, 1, 0], [3, -np.inf, 0, -np.inf, 1]])
    logits = logits.astype(np.float32)
    listed = np.array([[0, 2], [0, 2], [1, 0]])  # the second of each is beaten, or seen
    exact = TopK(np.array([[0, 1], [0, 1], [0, 4]]), np.array([[3, 2], [3, 2], [3, 1]], np.float32))
    found = TopK(listed, np.take_along_axis(logits, listed, axis=1))
    by_calibration = _recalls_of(listed, logits, 2)
    assert by_calibration.tolist() == [1, 0.5, 0.5]
    np.testing.assert_array_equal(by_calibration, recalls(found, exact))


@pytest.mark.parametrize("kind", [Kind.MLP, Kind.NEUMF])
@pytest.mark.parametrize("layers", [2, 3, 4])
def test_a_tower_of_low_rank_gets_a_screen_that_misses_next_to_nothing(
    kind: Kind, layers: int
) -> None:
    weights = _weights(kind, layers=layers)
    seen = _seen(0.05)
    screen = make_screen(weights, _rows(weights), seen)
    assert set(screen.graphs) == {SCREEN_GRAPH, RESCORE_GRAPH}
    for each in _lists(screen):
        assert each.recall >= 0.999
        assert each.recall_bound < each.recall
        assert each.k < each.candidates < N_ITEMS / 2
        assert _recall_of_everybody(weights, screen, seen, each.k).mean() >= 0.998


@pytest.mark.parametrize("spread", [1.0, 3.0, 10.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_tower_gets_a_screen_that_keeps_its_word_or_none(spread: float, seed: int) -> None:
    weights = drawn_weights(Architecture(Kind.MLP, N_USERS, N_ITEMS, 16, 3), seed, spread)
    screen = make_screen(weights, _rows(weights), _nobody_saw())
    if not screen.graphs:
        assert isinstance(screen.facts, NoScreen)
    for each in _lists(screen):
        assert _recall_of_everybody(weights, screen, _nobody_saw(), each.k).mean() >= 0.997


def test_items_that_are_nearly_copies_of_each_other_get_enough_candidates_or_no_screen() -> None:
    weights = _weights()
    rng = np.random.default_rng(0)
    for name in ("gmf.item.weight", "mlp.item.weight"):
        few = weights[name][: N_ITEMS // 40]
        copies = np.tile(few, (40, 1))
        weights[name] = (copies + 1e-3 * rng.normal(size=copies.shape)).astype(np.float32)
    screen = make_screen(weights, _rows(weights), _nobody_saw())
    for each in _lists(screen):
        assert _recall_of_everybody(weights, screen, _nobody_saw(), each.k).mean() >= 0.997


def test_users_who_have_seen_nearly_everything_get_all_that_is_left() -> None:
    weights = _weights()
    seen = _seen(0.995)
    screen = make_screen(weights, _rows(weights), seen)
    assert screen.graphs
    for each in _lists(screen):
        assert (_recall_of_everybody(weights, screen, seen, each.k) == 1).all()


@pytest.mark.parametrize(
    ("kind", "sizes", "layers", "reason"),
    [
        (Kind.GMF, (300, 1200), 3, "GMF has no tower"),
        (Kind.MLP, (300, 1200), 1, "takes too little work"),
        (Kind.NEUMF, (300, 1200), 1, "takes too little work"),
        (Kind.NEUMF, (300, 60), 3, "takes too little work"),
        (Kind.NEUMF, (300, 1), 3, "takes too little work"),
        (Kind.NEUMF, (40, 1200), 3, "only 40 users"),
        (Kind.NEUMF, (1, 1200), 3, "only 1 users"),
    ],
)
def test_where_no_screen_can_pay_there_is_none_and_the_reason_is_given(
    kind: Kind, sizes: tuple[int, int], layers: int, reason: str
) -> None:
    weights = drawn_weights(Architecture(kind, *sizes, 16, layers), 0, 0.3)
    screen = make_screen(weights, _rows(weights), _nobody_saw(*sizes))
    assert screen.graphs == {}
    assert isinstance(screen.facts, NoScreen)
    assert re.search(reason, screen.facts.reason)


def test_a_recall_that_held_out_users_do_not_get_is_not_promised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As if the choosing users had been luckier than all others.
    few = {k: Needs(k) for k in (10, 20)}
    monkeypatch.setattr("export.screen.judging.Judges.needs", lambda *_: few)
    monkeypatch.setattr("export.screen.calibration._RANKS", (4,))
    weights = drawn_weights(Architecture(Kind.MLP, N_USERS, N_ITEMS, 16, 3), 0)
    screen = make_screen(weights, _rows(weights), _nobody_saw())
    assert screen.graphs == {}
    assert isinstance(screen.facts, NoScreen)
    assert "recall on held-out users is 0." in screen.facts.reason


def test_candidates_widen_until_held_out_users_get_the_recall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = _weights()
    monkeypatch.setattr("export.screen.calibration._RANKS", (16,))
    few = {k: Needs(k + 10) for k in (10, 20)}
    monkeypatch.setattr("export.screen.judging.Judges.needs", lambda *_: few)
    (first, *_) = _lists(make_screen(weights, _rows(weights), _nobody_saw()))
    assert first.k == 10
    assert first.candidates in {20, 30, 50}
    assert first.recall >= 0.999


def test_the_same_seed_gives_the_same_bytes_and_another_other_users() -> None:
    weights = _weights()
    first, again, other = (
        make_screen(weights, _rows(weights), _nobody_saw(), Options(seed=seed))
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first.graphs[SCREEN_GRAPH] != other.graphs[SCREEN_GRAPH]
    assert first.graphs[RESCORE_GRAPH] == other.graphs[RESCORE_GRAPH]


def test_a_tighter_target_takes_no_fewer_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.screen.calibration._RANKS", (16,))
    weights = _weights()
    loose, tight = (
        _lists(make_screen(weights, _rows(weights), _nobody_saw(), Options(recall=recall)))
        for recall in (0.9, 0.999)
    )
    assert loose[0].candidates <= (tight[0].candidates if tight else N_ITEMS)


def test_cost_counts_the_tower_of_every_layer() -> None:
    cost = Cost.of(_weights())
    later = 2 * 64 * 32 + 2 * 32 * 16
    assert (cost.items, cost.gmf) == (N_ITEMS, 16)
    assert cost.tower == later + 2 * 64 + 2 * 16
    assert cost.gain(8, 64, 20) > cost.gain(8, 64, 40) > cost.gain(64, 512, 40)
    assert cost.gain(8, 64, 20, 0.05) < 1 / (0.05 + 1 / cost.gain(8, 64, 20)) + 1e-9
    assert cost.width == 64
