import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from ncf.data.prepared import PreparedData
from ncf.devices import Device
from ncf.errors import CapabilityError, UsageError
from ncf.models.scorer import scorer
from ncf.scoring.bundle import Bundle
from ncf.scoring.ranking import PairRanker
from ncf.scoring.sessions import open_session
from ncf.training.checkpoint import Checkpoint
from tests.oracles import best_unseen, numpy_logit


@settings(max_examples=40, deadline=None)
@given(
    users=st.lists(st.integers(0, 39), max_size=12),
    k=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_top_k_equals_brute_force_for_any_users_k_and_seen_items(
    users: list[int], k: int, seed: int, bundle: Bundle, checkpoint: Checkpoint
) -> None:
    n_users, n_items = bundle.seen.shape
    rng = np.random.default_rng(seed)
    # From users who saw nothing to users who saw everything.
    seen = rng.random((n_users, n_items)) < rng.choice([0, 0.3, 0.9, 1], (n_users, 1))
    other = Bundle(bundle.path, bundle.manifest)
    other.__dict__["seen"] = sparse.csr_array(seen.astype(np.int8))
    top = PairRanker(other, Device.CPU, threads=1).rank(np.array(users, np.int64), k)
    assert top.items.shape == (len(users), min(k, n_items))
    score = scorer(checkpoint.model())
    for row, user in enumerate(users):
        logits = score(np.full(n_items, user), np.arange(n_items))
        table = dict(enumerate(logits.tolist()))
        expected = best_unseen(table, set(np.flatnonzero(seen[user]).tolist()), k)
        count = int(top.counts[row])
        assert count == len(expected)
        found = top.items[row, :count].tolist()
        assert sorted(found) == sorted(set(found))
        # Equal up to ties: the scores at each rank, and each item's own score.
        ranked = [table[item] for item in expected]
        np.testing.assert_allclose(top.scores[row, :count], ranked, atol=1e-5)
        np.testing.assert_allclose([table[item] for item in found], ranked, atol=1e-5)


def test_scores_are_the_logits_of_the_safetensors_file(
    bundle: Bundle, checkpoint: Checkpoint
) -> None:
    top = PairRanker(bundle).rank(np.arange(5), 3)
    for user in range(5):
        for item, score in zip(top.items[user], top.scores[user], strict=True):
            assert score == pytest.approx(numpy_logit(checkpoint.weights, user, item), abs=1e-5)


def test_ties_stand_by_ascending_index(bundle: Bundle) -> None:
    ranker = PairRanker(bundle)
    constant = type("Constant", (), {"run": lambda *_: [np.zeros(30, np.float32)]})()
    ranker._session = constant
    ranker._seen = sparse.csr_array(np.zeros((40, 30), np.int8))
    assert ranker.rank(np.array([3]), 5).items.tolist() == [[0, 1, 2, 3, 4]]


def test_no_seen_item_is_ever_ranked(bundle: Bundle, data: PreparedData) -> None:
    top = PairRanker(bundle).rank(np.arange(len(data.users)), len(data.items))
    known = data.known()
    seen = set(zip(known.users.tolist(), known.items.tolist(), strict=True))
    rows, columns = np.nonzero(top.valid())
    assert not seen & set(zip(rows.tolist(), top.items[rows, columns].tolist(), strict=True))
    assert top.counts.sum() == len(data.users) * len(data.items) - len(seen)


def test_a_user_index_out_of_range_is_refused_and_not_the_last_user(bundle: Bundle) -> None:
    for user in (-1, 40):
        with pytest.raises(IndexError):
            PairRanker(bundle).rank(np.array([user]), 3)


@pytest.mark.parametrize("k", [0, -1])
def test_k_under_one_is_refused(k: int, bundle: Bundle) -> None:
    with pytest.raises(UsageError):
        PairRanker(bundle).rank(np.array([0]), k)


def _cuda_loads(bundle: Bundle) -> bool:
    try:
        open_session(bundle.score_graph, Device.CUDA)
    except CapabilityError:
        return False
    return True


def test_cuda_is_refused_with_the_remedy_where_it_is_missing(bundle: Bundle) -> None:
    if _cuda_loads(bundle):
        pytest.skip("CUDA loads here")
    with pytest.raises(CapabilityError, match="--device cpu"):
        open_session(bundle.score_graph, Device.CUDA)


def test_auto_falls_back_to_the_cpu_and_says_so(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    if _cuda_loads(bundle):
        pytest.skip("CUDA loads here")
    with caplog.at_level("INFO"):
        session = open_session(bundle.score_graph, Device.AUTO)
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert "computing on the CPU" in caplog.text


def test_cuda_ranks_as_the_cpu_does(bundle: Bundle) -> None:
    if not _cuda_loads(bundle):
        pytest.skip("ONNX Runtime cannot load CUDA on this machine")
    users = np.arange(40)
    on_gpu = PairRanker(bundle, Device.CUDA).rank(users, 10)
    on_cpu = PairRanker(bundle, Device.CPU).rank(users, 10)
    np.testing.assert_allclose(on_gpu.scores, on_cpu.scores, atol=1e-4)
