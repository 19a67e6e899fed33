import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from ncf.data.prepared import PreparedData
from ncf.devices import Device, usable_cores
from ncf.errors import CapabilityError
from ncf.graphs.topk import topk_graph, user_rows
from ncf.graphs.tower import Form
from ncf.models.kinds import Kind
from ncf.models.scorer import scorer
from ncf.scoring import exact
from ncf.scoring.bundle import Bundle
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.exact import ExactRanker
from ncf.scoring.onnx_runtime import ort
from ncf.scoring.seen import Seen
from ncf.scoring.sessions import CUDA, open_cpu, open_cuda, say_why
from ncf.training.checkpoint import Checkpoint
from tests.conftest import random_checkpoint
from tests.oracles import best_unseen, numpy_logit


def _seen(matrix: npt.NDArray[np.bool_]) -> Seen:
    csr = sparse.csr_array(matrix.astype(np.int8))
    return Seen(csr.indptr, csr.indices, matrix.shape[1])


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
    other.__dict__["seen"] = _seen(seen)
    ranker = ExactRanker.open(other, Device.CPU, threads=1)
    ranker.step = 5  # so that users fall into several blocks
    top = ranker.rank(np.array(users, np.int64), k)
    assert top.items.shape == (len(users), min(k, n_items))
    score = scorer(checkpoint.model())
    for row, user in enumerate(users):
        logits = score(np.full(n_items, user), np.arange(n_items))
        table = dict(enumerate(logits.tolist()))
        expected = best_unseen(table, set(np.flatnonzero(seen[user]).tolist()), k)
        count = int(np.count_nonzero(top.valid()[row]))
        assert top.valid()[row, :count].all()
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
    top = ExactRanker.open(bundle).rank(np.arange(5), 3)
    for user in range(5):
        for item, score in zip(top.items[user], top.scores[user], strict=True):
            assert score == pytest.approx(numpy_logit(checkpoint.weights, user, item), abs=1e-5)


def test_ties_stand_by_ascending_index(data: PreparedData, tmp_path: Path) -> None:
    flat = random_checkpoint(tmp_path / "c", data, Kind.NEUMF)
    for name, array in flat.weights.items():
        if name.endswith("item.weight"):
            array[:] = array[0]
        # Few bits, so that sums are exact: a kernel may add the last rows up in another order.
        array[:] = np.round(8 * array) / 8
    graph = topk_graph(flat.weights, Form.LOOP)
    session = open_cpu(graph)
    feeds = {
        "rows": next(user_rows(flat.weights))[:3],
        "mask": np.zeros(len(data.items), np.float32),
        "seen": np.array([[0, 0], [2, 1]]),
        "k": np.array([4]),
    }
    items, logits = session.run(["item", "logit"], feeds)
    assert logits.any()
    assert items.tolist() == [[1, 2, 3, 4], [0, 1, 2, 3], [0, 2, 3, 4]]


def test_no_seen_item_is_ever_ranked(bundle: Bundle, data: PreparedData) -> None:
    top = ExactRanker.open(bundle).rank(np.arange(len(data.users)), len(data.items))
    known = data.interactions()
    seen = set(zip(known.users.tolist(), known.items.tolist(), strict=True))
    rows, columns = np.nonzero(top.valid())
    assert not seen & set(zip(rows.tolist(), top.items[rows, columns].tolist(), strict=True))
    assert np.count_nonzero(top.valid()) == len(data.users) * len(data.items) - len(seen)


def test_a_user_index_out_of_range_is_refused_and_not_the_last_user(bundle: Bundle) -> None:
    for user in (-1, 40):
        with pytest.raises(IndexError, match=r"outside \[0, 40\)"):
            ExactRanker.open(bundle).rank(np.array([user]), 3)


def test_items_that_may_not_be_listed_never_are(bundle: Bundle) -> None:
    eligible: npt.NDArray[np.bool_] = np.arange(30) % 3 == 0
    eligibility = Eligibility(eligible, (bundle.seen,))
    ranker = ExactRanker.open(bundle, Device.CPU, eligibility=eligibility)
    assert ranker.eligibility is eligibility
    users = np.arange(40)
    every = ExactRanker.open(bundle, Device.CPU).rank(users, 30)
    for k in (3, 30):
        top = ranker.rank(users, k)
        for row in users:
            listed = every.items[row, every.valid()[row]]
            expected = listed[eligible[listed]][:k].tolist()
            assert top.items[row, top.valid()[row]].tolist() == expected


def test_blocks_of_users_side_by_side_give_what_they_give_one_by_one(bundle: Bundle) -> None:
    ranker = ExactRanker.open(bundle, Device.CPU, threads=1)
    ranker.step = 7
    threads = set()

    def started(_: int) -> None:
        threads.add(threading.current_thread())

    with ThreadPoolExecutor(2) as pool:
        side_by_side = ranker.rank(np.arange(40), 5, pool, started)
    assert threading.current_thread() not in threads
    one_by_one = ranker.rank(np.arange(40), 5)
    np.testing.assert_array_equal(side_by_side.items, one_by_one.items)
    np.testing.assert_array_equal(side_by_side.scores, one_by_one.scores)


@pytest.mark.parametrize(
    ("logits", "users", "blocks"),
    [(179, 64, [5, 5, 2]), (1, 64, [1] * 12), (1000, 4, [4, 4, 4])],
)
@pytest.mark.parametrize("form", [Device.CPU, Device.CUDA])
def test_a_call_holds_as_many_users_as_its_bounds_allow(
    form: Device,
    logits: int,
    users: int,
    blocks: list[int],
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    width = bundle.manifest.model.row_width
    monkeypatch.setattr(exact, "_LOOP_USERS", users if form is Device.CPU else 3)
    monkeypatch.setattr(exact, "_LOOP_LOGITS", logits if form is Device.CPU else 90)
    monkeypatch.setattr(exact, "_BLOCK_USERS", users if form is Device.CUDA else 3)
    monkeypatch.setattr(exact, "_BLOCK_VALUES", logits * width if form is Device.CUDA else 90)
    session = open_cpu(bundle.topk_graph(Device.CPU))
    ranker = ExactRanker(session, bundle.user_rows, bundle.eligibility, form)
    asked: list[int] = []
    ranker.rank(np.arange(12), 3, started=asked.append)
    assert asked == blocks


def test_a_session_has_the_threads_asked_for_and_the_step_of_its_form(bundle: Bundle) -> None:
    ranker = ExactRanker.open(bundle, Device.CPU, threads=3)
    assert ranker._session.get_session_options().intra_op_num_threads == 3
    # All of them, counted by us: ONNX Runtime knows nothing of a container's quota.
    every = ExactRanker.open(bundle)._session.get_session_options().intra_op_num_threads
    assert every == usable_cores()
    assert ranker._users_at_once(3) == 64


class OnCuda:
    """Stands in for a session on a GPU."""

    def get_providers(self) -> list[str]:
        return [CUDA]


def test_on_cuda_the_mask_lies_there_and_blocks_are_of_that_form(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = []
    monkeypatch.setattr(exact, "open_session", lambda *_: OnCuda())
    monkeypatch.setattr(
        "onnxruntime.OrtValue.ortvalue_from_numpy", lambda _, *place: places.append(place)
    )
    ranker = ExactRanker.open(bundle, Device.AUTO)
    assert (ranker.device, places) == (Device.CUDA, [("cuda", 0)])
    assert ranker._users_at_once(3) == 1024


def test_no_user_at_all_gives_no_row(bundle: Bundle) -> None:
    ranker = ExactRanker.open(bundle)
    nobody, nothing = np.empty(0, np.int64), np.empty((0, 2), np.int64)
    listed = ranker.rank(nobody, 4)
    assert listed.items.shape == (0, 4)
    assert [listed.items.dtype.name, listed.scores.dtype.name] == ["int64", "float32"]
    assert ranker.rank_excluding(nobody, nothing, 40).scores.shape == (0, 30)


def _cuda_loads(bundle: Bundle) -> bool:
    try:
        open_cuda(bundle.score_graph)
    except CapabilityError:
        return False
    return True


def test_cuda_is_refused_with_the_remedy_where_it_is_missing(bundle: Bundle) -> None:
    if _cuda_loads(bundle):
        pytest.skip("CUDA loads here")
    with pytest.raises(CapabilityError, match='device="cpu"'):
        ExactRanker.open(bundle, Device.CUDA)


def test_auto_falls_back_to_the_cpu_and_says_so(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    if _cuda_loads(bundle):
        pytest.skip("CUDA loads here")
    say_why.cache_clear()
    with caplog.at_level("INFO"):
        ranker = ExactRanker.open(bundle, Device.AUTO)
        ExactRanker.open(bundle, Device.AUTO)
    assert ranker.rank(np.array([0]), 2).items.shape == (1, 2)
    assert caplog.text.count("computing on the CPU") == 1  # not once for each model


class SmallGpu:
    """Stands in for a session on a GPU that has memory for a few users a call, or is lost."""

    def __init__(self, session: ort.InferenceSession, users: int, said: str) -> None:
        self._session, self._users, self._said = session, users, said
        self.calls: list[int] = []

    def io_binding(self) -> "SmallGpu":
        self._binding = self._session.io_binding()
        return self

    def bind_cpu_input(self, name: str, array: npt.NDArray[np.generic]) -> None:
        self._binding.bind_cpu_input(name, array)
        if name == "rows":
            self.calls.append(len(array))

    def bind_ortvalue_input(self, name: str, value: ort.OrtValue) -> None:
        self._binding.bind_ortvalue_input(name, value)

    def bind_output(self, name: str) -> None:
        self._binding.bind_output(name)

    def copy_outputs_to_cpu(self) -> list[npt.NDArray[np.generic]]:
        found: list[npt.NDArray[np.generic]] = self._binding.copy_outputs_to_cpu()
        return found

    def run_with_iobinding(self, _: "SmallGpu") -> None:
        if self.calls[-1] > self._users:
            raise RuntimeError(self._said)
        self._session.run_with_iobinding(self._binding)


def _on_small_gpu(bundle: Bundle, users: int, said: str) -> tuple[ExactRanker, SmallGpu]:
    session = open_cpu(bundle.topk_graph(Device.CUDA))
    ranker = ExactRanker(session, bundle.user_rows, bundle.eligibility, Device.CUDA)
    gpu = SmallGpu(ranker._session, users, said)
    ranker._session, ranker.device = gpu, Device.CUDA
    return ranker, gpu


NO_MEMORY = "[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer of size 9"


def test_a_gpu_with_little_memory_gets_smaller_blocks_from_then_on(bundle: Bundle) -> None:
    ranker, gpu = _on_small_gpu(bundle, 7, NO_MEMORY)
    users = np.arange(39, -1, -1)
    found = ranker.rank(users, 30)
    assert gpu.calls == [40, 20, 10, 5, 5, 10, 5, 5, 20, 10, 5, 5, 10, 5, 5]
    expected = ExactRanker.open(bundle).rank(users, 30)
    np.testing.assert_array_equal(found.valid(), expected.valid())
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    gpu.calls.clear()
    ranker.rank(users, 30)
    assert gpu.calls == [5] * 8


def test_a_gpu_without_memory_for_one_user_is_one_line_with_the_remedy(bundle: Bundle) -> None:
    ranker, _ = _on_small_gpu(bundle, 0, NO_MEMORY)
    with pytest.raises(CapabilityError, match=r"out of memory .* 1 users .*`device=\"cpu\"`"):
        ranker.rank(np.arange(40), 10)


def test_a_gpu_that_is_lost_is_not_asked_again(bundle: Bundle) -> None:
    ranker, gpu = _on_small_gpu(bundle, 0, "CUDA failure 46: all devices are busy or unavailable")
    with pytest.raises(CapabilityError, match=r"the GPU failed .*do the same again"):
        ranker.rank(np.arange(40), 10)
    assert gpu.calls == [40]


def test_no_form_for_gpus_asks_for_what_onnx_runtime_computes_on_the_cpu(
    screened_bundle: Bundle,
) -> None:
    for name in ("topk.cuda.onnx", "screen.onnx", "rescore.onnx"):
        operators = {node.op_type for node in onnx.load(screened_bundle.path / name).graph.node}
        assert not operators & {"Shape", "Size", "NonZero", "Range", "Loop", "Scan", "If"}


def test_cuda_ranks_as_the_cpu_does(bundle: Bundle) -> None:
    if not _cuda_loads(bundle):
        pytest.skip("ONNX Runtime cannot load CUDA on this machine")
    users = np.arange(40)
    on_gpu = ExactRanker.open(bundle, Device.CUDA).rank(users, 10)
    on_cpu = ExactRanker.open(bundle, Device.CPU).rank(users, 10)
    np.testing.assert_allclose(on_gpu.scores, on_cpu.scores, atol=1e-4)
