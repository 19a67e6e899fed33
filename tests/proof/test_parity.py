import numpy as np
import numpy.typing as npt
import pytest

from ncf.errors import ParityError
from ncf.models.scorer import scorer
from ncf.proof.parity import compare, compare_screen, compare_topk
from ncf.proof.reference import Reference, graph_scorer, reference
from ncf.scoring.bundle import Bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.ranker import TopK
from ncf.scoring.sessions import open_cpu
from ncf.training.checkpoint import Checkpoint

LOGITS = np.array([[3.0, 1.0, -np.inf, 2.0], [0.5, 0.5, 0.25, 1.0]], np.float32)


class Answers(ExactRanker):
    """Answers K = all with given lists, and K = 10 with their heads."""

    def __init__(self, items: list[list[int]], scores: npt.NDArray[np.float32]) -> None:
        self._answer = TopK(np.array(items, np.int64), scores)

    def rank(
        self, users: npt.NDArray[np.int64], k: int, pool: object = None, unwanted: object = None
    ) -> TopK:
        assert users.size == 2
        assert pool is unwanted is None
        return TopK(self._answer.items[:, :k], self._answer.scores[:, :k])


RIGHT_ITEMS = [[0, 3, 1, 2], [3, 0, 1, 2]]
RIGHT = np.array([[3, 2, 1, -np.inf], [1, 0.5, 0.5, 0.25]], np.float32)


def _check(items: list[list[int]], scores: npt.NDArray[np.float32]) -> None:
    compare_topk("graph", Answers(items, scores), Reference(np.arange(2), LOGITS))


def test_a_right_answer_passes_and_so_do_ties_in_another_order() -> None:
    _check(RIGHT_ITEMS, RIGHT)
    _check([RIGHT_ITEMS[0], [3, 1, 0, 2]], RIGHT)


@pytest.mark.parametrize(
    ("items", "change"),
    [
        ([RIGHT_ITEMS[0], [3, 0, 0, 2]], {}),  # an item twice
        ([[0, 1, 3, 2], RIGHT_ITEMS[1]], {(0, 1): 1.0, (0, 2): 2.0}),  # a better item later
        (RIGHT_ITEMS, {(0, 3): 0.0}),  # a seen item listed
        (RIGHT_ITEMS, {(1, 3): -np.inf}),  # an unseen one left out
        (RIGHT_ITEMS, {(1, 0): 1.001}),  # another logit
        (RIGHT_ITEMS, {(1, 0): np.nan}),
    ],
)
def test_a_wrong_answer_is_refused(
    items: list[list[int]], change: dict[tuple[int, int], float]
) -> None:
    scores = RIGHT.copy()
    for place, value in change.items():
        scores[place] = value
    with pytest.raises(ParityError):
        _check(items, scores)


def test_the_tolerance_is_1e_5_and_grows_only_with_what_float32_can_hold() -> None:
    small = np.array([0.5, -2.0], np.float32)
    assert compare("x", small, small).tolerance == 1e-5
    with pytest.raises(ParityError):
        compare("x", small + np.float32(2e-5), small)
    # A logit of 16 has a last place of 1.9e-6: thirty-two of them are let through, no more.
    large = np.array([0.5, -16.0], np.float32)
    assert compare("x", large + np.float32(3e-5), large).tolerance == pytest.approx(
        6.1e-5, rel=0.01
    )
    with pytest.raises(ParityError):
        compare("x", large + np.float32(1e-4), large)


def test_the_reference_holds_the_first_the_last_and_many_users(bundle: Bundle) -> None:
    found = reference(bundle, graph_scorer(open_cpu(bundle.score_graph)))
    assert found.users[0] == 0
    assert found.users[-1] == bundle.n_users - 1
    assert found.users.size == bundle.n_users  # few enough for all
    seen = bundle.seen.pairs(found.users)
    assert np.isneginf(found.logits[seen[:, 0], seen[:, 1]]).all()
    assert np.isneginf(found.logits).sum() == len(seen)


def test_pairs_are_scored_alike_in_one_piece_and_in_many(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = graph_scorer(open_cpu(bundle.score_graph))
    users, items = np.repeat(np.arange(40), 30), np.tile(np.arange(30), 40)
    whole = score(users, items)
    monkeypatch.setattr("ncf.proof.reference._PAIRS_AT_ONCE", 7)
    np.testing.assert_array_equal(score(users, items), whole)


@pytest.mark.parametrize(
    ("items", "scores", "problem"),
    [
        ([[0, 3], [3, 1]], [[3, 2], [1, 0.5]], None),
        ([[3, 1], [0, 2]], [[2, 1], [0.5, 0.25]], None),  # another choice, rightly scored
        ([[3, 0], [3, 1]], [[2, 3], [1, 0.5]], "best item first"),
        ([[0, 0], [3, 1]], [[3, 3], [1, 0.5]], "twice"),
        ([[0, 3], [3, 1]], [[3, 2.1], [1, 0.5]], "says"),
        ([[0, 2], [3, 1]], [[3, 1.5], [1, 0.5]], "says"),  # a seen item
        ([[0, 3], [3, 1]], [[3, -np.inf], [1, 0.5]], "too few"),
    ],
)
def test_screened_lists_may_choose_but_not_score_otherwise(
    items: list[list[int]], scores: list[list[float]], problem: str | None
) -> None:
    top = TopK(np.array(items, np.int64), np.array(scores, np.float32))
    expected = Reference(np.arange(2), LOGITS)
    if problem is None:
        compare_screen("screen", top, expected)
        return
    with pytest.raises(ParityError, match=problem):
        compare_screen("screen", top, expected)


def test_the_reference_of_a_screened_bundle_has_users_with_much_seen(
    screened_bundle: Bundle, wide_checkpoint: Checkpoint
) -> None:
    expected = reference(screened_bundle, scorer(wide_checkpoint.model()))
    assert np.isneginf(expected.logits).sum(axis=1).max() >= 300
