from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ncf.errors import ArtifactError, UsageError
from ncf.models.scorer import scorer
from ncf.proof.recall import recalls
from ncf.scoring.bundle import SCREEN_GRAPH, Bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.ranker import TopK
from ncf.scoring.rescorer import Rescorer
from ncf.scoring.screened import Calibration, ScreenedRanker, merged
from ncf.scoring.sessions import open_cpu
from ncf.training.checkpoint import Checkpoint

EVERYBODY = np.arange(240)


def test_screened_lists_are_the_exact_ones(screened_bundle: Bundle) -> None:
    screened, exact = ScreenedRanker.open(screened_bundle), ExactRanker.open(screened_bundle)
    for k in (1, 10, 17, Calibration.of(screened_bundle).lists[-1].k):
        found, expected = screened.rank(EVERYBODY, k), exact.rank(EVERYBODY, k)
        assert recalls(found, expected).mean() >= 0.999
        same = found.items == expected.items
        assert same.mean() > 0.99
        np.testing.assert_allclose(found.scores[same], expected.scores[same], atol=1e-5)


def test_blocks_and_threads_change_nothing(
    screened_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranker = ScreenedRanker.open(screened_bundle, threads=1)
    whole = ranker.rank(EVERYBODY, 10)
    monkeypatch.setattr("ncf.scoring.screened._USERS", 7)
    with ThreadPoolExecutor(2) as pool:
        pieces = ranker.rank(EVERYBODY, 10, pool)
    np.testing.assert_array_equal(pieces.items, whole.items)
    np.testing.assert_allclose(pieces.scores, whole.scores, atol=1e-6)


def test_candidates_follow_the_length_of_the_list_and_widen(screened_bundle: Bundle) -> None:
    ranker = ScreenedRanker.open(screened_bundle)
    (ten, twenty, *_) = Calibration.of(screened_bundle).lists
    assert ranker.candidates(3) == ranker.candidates(10) == ten.candidates
    assert ranker.candidates(11) == twenty.candidates
    assert ranker.widened(3).candidates(10) == 3 * ten.candidates
    assert ranker.widened(1e6).candidates(10) == screened_bundle.n_items
    exact = ExactRanker.open(screened_bundle).rank(EVERYBODY, 10)
    np.testing.assert_array_equal(ranker.widened(1e6).rank(EVERYBODY, 10).items, exact.items)


def test_further_candidates_alone_make_the_lists_of_all(screened_bundle: Bundle) -> None:
    ranker = ScreenedRanker.open(screened_bundle, threads=1)
    narrow, wide = ranker.widened(0.5), ranker.widened(2)
    first = narrow.rank(EVERYBODY, 10)
    further = wide.beyond(0.5).rank(EVERYBODY, 10)
    assert not np.array_equal(first.items, further.items)
    together, whole = merged(first, further), wide.rank(EVERYBODY, 10)
    np.testing.assert_array_equal(together.items, whole.items)
    np.testing.assert_allclose(together.scores, whole.scores, atol=1e-6)


def test_merged_lists_count_an_item_once_and_order_ties_by_index() -> None:
    first = TopK(np.array([[4, 2]]), np.array([[3, 1]], np.float32))
    later = TopK(np.array([[2, 1]]), np.array([[1, 1]], np.float32))
    assert merged(first, later).items.tolist() == [[4, 1]]
    nothing = TopK(np.array([[4, 0]]), np.array([[3, -np.inf]], np.float32))
    assert merged(nothing, later).items.tolist() == [[4, 1]]
    assert merged(nothing, nothing).valid().tolist() == [[True, False]]


def _of_before(graph: bytes) -> bytes:
    """Make the graph as bundles of earlier versions have it: it cannot skip, nor say its margin."""
    model = onnx.load_model_from_string(graph)
    inputs, outputs = list(model.graph.input), list(model.graph.output)
    del model.graph.input[:], model.graph.output[:]
    model.graph.input.extend(each for each in inputs if each.name not in {"skip", "scored"})
    model.graph.output.extend(each for each in outputs if each.name != "margin")
    model.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "skip"))
    for node in model.graph.node:
        node.input[:] = ["candidates" if name == "scored" else name for name in node.input]
    return model.SerializeToString()


def test_a_graph_of_an_earlier_version_ranks_and_widens(screened_bundle: Bundle) -> None:
    content = (screened_bundle.path / SCREEN_GRAPH).read_bytes()
    rows, eligibility = screened_bundle.user_rows, screened_bundle.eligibility
    lists = tuple(replace(e, least_margin=None) for e in Calibration.of(screened_bundle).lists)
    now, before = (
        ScreenedRanker(open_cpu(graph, 1), rows, eligibility, Calibration(lists))
        for graph in (content, _of_before(content))
    )
    before = before.backed_by(ExactRanker.open(screened_bundle, threads=1))
    found = before.rank(EVERYBODY, 10)
    np.testing.assert_array_equal(found.items, now.rank(EVERYBODY, 10).items)
    wider = merged(found, before.widened(2).beyond(1).rank(EVERYBODY, 10))
    np.testing.assert_array_equal(wider.items, now.widened(2).rank(EVERYBODY, 10).items)


def test_users_of_a_low_margin_are_ranked_exactly(screened_bundle: Bundle) -> None:
    bundle_lists = Calibration.of(screened_bundle).lists
    graph = ScreenedRanker.open(screened_bundle, threads=1)

    def ranker(least: float | None) -> ScreenedRanker:
        lists = tuple(replace(each, least_margin=least, candidates=each.k) for each in bundle_lists)
        screen = ScreenedRanker(
            graph._session,
            screened_bundle.user_rows,
            screened_bundle.eligibility,
            Calibration(lists),
        )
        return screen.backed_by(exact)

    exact = ExactRanker.open(screened_bundle, threads=1)
    truth = exact.rank(EVERYBODY, 10)
    shares = [
        recalls(ranker(least).rank(EVERYBODY, 10), truth).mean() for least in (None, 0.5, 1e6)
    ]
    assert shares[0] < shares[1] < shares[2] == 1
    everybody = ranker(1e6).rank(EVERYBODY, 10)
    np.testing.assert_array_equal(everybody.items, truth.items)


def test_lists_longer_than_calibrated_are_left_to_the_exact_graph(screened_bundle: Bundle) -> None:
    longest = Calibration.of(screened_bundle).lists[-1].k
    assert Calibration.of(screened_bundle).find(longest) is not None
    assert Calibration.of(screened_bundle).find(longest + 1) is None
    with pytest.raises(UsageError, match="not calibrated"):
        ScreenedRanker.open(screened_bundle).rank(EVERYBODY[:1], longest + 1)


def test_a_bundle_without_a_screen_says_why(bundle: Bundle) -> None:
    assert Calibration.of(bundle).find(10) is None
    for kind in (ScreenedRanker, Rescorer):
        with pytest.raises(ArtifactError, match="takes too little work"):
            kind.open(bundle)


def test_nobody_gets_no_list(screened_bundle: Bundle) -> None:
    nobody, nothing = np.empty(0, np.int64), np.empty((0, 2), np.int64)
    ranker = ScreenedRanker.open(screened_bundle)
    assert ranker.rank(nobody, 4).items.shape == (0, 4)
    assert ranker.rank_excluding(nobody, nothing, 4).scores.shape == (0, 4)


def test_given_items_are_scored_exactly_in_any_number(
    screened_bundle: Bundle, wide_checkpoint: Checkpoint
) -> None:
    rescorer = Rescorer.open(screened_bundle)
    score = scorer(wide_checkpoint.model())
    for count in (0, 1, 700):
        items = np.random.default_rng(0).integers(0, 1000, (9, count))
        found = rescorer.score(EVERYBODY[:9], items)
        expected = score(np.repeat(EVERYBODY[:9], count), items.ravel())
        np.testing.assert_allclose(found.ravel(), expected, atol=1e-5)
    for users, items in ((np.array([240]), np.array([[0]])), (np.array([0]), np.array([[-1]]))):
        with pytest.raises(IndexError):
            rescorer.score(users, items)
