import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import numpy.typing as npt
import pytest

from export.bundle import Source
from export.publish import publish
from export.screen.assembly import summary
from export.verify import verify_bundle
from ncf.artifacts import BUNDLE, seal
from ncf.data.prepared import PreparedData
from ncf.errors import ArtifactError, ParityError, UsageError
from ncf.models.kinds import Kind
from ncf.models.scorer import scorer
from ncf.proof.audit import PairAudit
from ncf.proof.parity import compare_screen
from ncf.proof.recall import recalls
from ncf.proof.reference import Reference, reference
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.exact import ExactRanker
from ncf.scoring.ranker import TopK
from ncf.scoring.screened import Calibration, Rescorer, ScreenedRanker
from ncf.scoring.seen import Fresh
from ncf.training.checkpoint import Checkpoint
from tests.conftest import random_checkpoint

EVERYBODY = np.arange(240)


def test_screened_lists_are_the_exact_ones(screened_bundle: Bundle) -> None:
    screened, exact = ScreenedRanker.open(screened_bundle), ExactRanker.open(screened_bundle)
    for k in (1, 10, 17, screened_bundle.manifest["screen"]["by_k"][-1]["k"]):
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
    (ten, twenty, *_) = screened_bundle.manifest["screen"]["by_k"]
    assert ranker.candidates(3) == ranker.candidates(10) == ten["candidates"]
    assert ranker.candidates(11) == twenty["candidates"]
    assert ranker.widened(3).candidates(10) == 10 + 3 * (ten["candidates"] - 10)
    assert ranker.widened(1e6).candidates(10) == screened_bundle.n_items
    exact = ExactRanker.open(screened_bundle).rank(EVERYBODY, 10)
    np.testing.assert_array_equal(ranker.widened(1e6).rank(EVERYBODY, 10).items, exact.items)


def test_lists_longer_than_calibrated_are_left_to_the_exact_graph(screened_bundle: Bundle) -> None:
    longest = screened_bundle.manifest["screen"]["by_k"][-1]["k"]
    assert Calibration.of(screened_bundle).find(longest) is not None
    assert Calibration.of(screened_bundle).find(longest + 1) is None
    with pytest.raises(UsageError, match="not calibrated"):
        ScreenedRanker.open(screened_bundle).rank(EVERYBODY[:1], longest + 1)


def test_a_bundle_without_a_screen_says_why(bundle: Bundle) -> None:
    assert Calibration.of(bundle).find(10) is None
    for kind in (ScreenedRanker, Rescorer):
        with pytest.raises(ArtifactError, match="does too little work"):
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


def test_the_bundle_of_a_screen_is_what_the_documents_say(screened_bundle: Bundle) -> None:
    names = {path.name for path in screened_bundle.path.iterdir()}
    assert {"screen.onnx", "rescore.onnx"} <= names
    schema = json.loads((Path(__file__).parents[2] / "docs/bundle.schema.json").read_bytes())
    manifest = json.loads((screened_bundle.path / "bundle.json").read_bytes())
    jsonschema.validate(manifest, schema)
    assert {"screen.onnx", "rescore.onnx"} <= manifest["parity"].keys()
    assert summary(manifest["screen"]).startswith("lists of 10, 20")
    card = (screened_bundle.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "- K = 10: " in card
    report = verify_bundle(screened_bundle.path)
    assert max(report["screen.onnx"], report["rescore.onnx"]) <= 1e-5


def test_no_screen_is_made_where_none_is_wanted(
    wide_checkpoint: Checkpoint, wide_data: PreparedData, tmp_path: Path
) -> None:
    publish(Source(wide_checkpoint, wide_data, screen=False), tmp_path, "ncf")
    plain = open_bundle(tmp_path / "ncf")
    assert plain.manifest["screen"] == {"reason": "not asked for"}
    assert not plain.has_screen
    assert not (plain.path / "screen.onnx").exists()
    verify_bundle(plain.path)
    card = (plain.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "None: not asked for." in card


@pytest.fixture
def copy(screened_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(screened_bundle.path, tmp_path / "ncf"))


def _reseal(folder: Path, **changes: object) -> None:
    document = json.loads((folder / "bundle.json").read_bytes())
    seal(folder, BUNDLE, {**document, **changes})


@pytest.mark.parametrize("name", ["screen.onnx", "rescore.onnx"])
def test_a_bundle_that_lacks_half_of_its_screen_is_refused(name: str, copy: Path) -> None:
    (copy / name).unlink()
    _reseal(copy)
    with pytest.raises(ArtifactError, match=name):
        open_bundle(copy)


def test_a_screen_of_another_model_is_refused_although_its_digest_is_right(
    copy: Path, wide_checkpoint: Checkpoint, wide_data: PreparedData, tmp_path: Path
) -> None:
    weights = wide_checkpoint.weights
    shifted = {**weights, "output.bias": weights["output.bias"] + np.float32(0.01)}
    other = Checkpoint(
        wide_checkpoint.path,
        wide_checkpoint.architecture,
        shifted,
        wide_checkpoint.users,
        wide_checkpoint.items,
        wide_checkpoint.manifest,
    )
    publish(Source(other, wide_data), tmp_path / "store", "other")
    shutil.copyfile(tmp_path / "store/other/screen.onnx", copy / "screen.onnx")
    _reseal(copy)
    with pytest.raises(ParityError, match=r"screen\.onnx says"):
        verify_bundle(copy)


def test_a_screen_that_misses_more_than_it_says_is_refused(copy: Path) -> None:
    document = json.loads((copy / "bundle.json").read_bytes())
    screen = document["screen"]
    screen["by_k"] = [{**each, "candidates": each["k"]} for each in screen["by_k"]]
    _reseal(copy, screen=screen)
    with pytest.raises(ParityError, match=r"screen\.onnx misses"):
        verify_bundle(copy)


LOGITS = np.array([[3.0, 1.0, -np.inf, 2.0], [0.5, 0.5, 0.25, 1.0]], np.float32)


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


def test_a_gmf_is_exported_without_a_screen(data: PreparedData, tmp_path: Path) -> None:
    checkpoint = random_checkpoint(tmp_path / "c", data, Kind.GMF)
    publish(Source(checkpoint, data), tmp_path, "ncf")
    assert "no tower" in open_bundle(tmp_path / "ncf").manifest["screen"]["reason"]


def test_the_reference_of_a_screened_bundle_has_users_with_much_seen(
    screened_bundle: Bundle, wide_checkpoint: Checkpoint
) -> None:
    expected = reference(screened_bundle, scorer(wide_checkpoint.model()))
    assert np.isneginf(expected.logits).sum(axis=1).max() >= 300
