"""On a GPU: every graph runs there alone and ranks as on the CPU; the server answers the same."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.gpu.tastes import draw
from benchmarks.gpu.training import Training
from benchmarks.gpu.worlds import RANDOM, TRAINED
from ncf.devices import Device
from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Kind
from ncf.training.average import Average
from ncf.training.epoch import Batch, Learner
from ncf.training.optimizers import Optimizers

pytestmark = pytest.mark.cuda
WORLDS = [TRAINED, *RANDOM]


def _always(graph: Path) -> Callable[[Device], Path]:
    return lambda _: graph


def _scores(answer: dict[str, Any]) -> list[float]:
    return [each["score"] for each in answer["items"]]


@dataclass(frozen=True)
class Steps:
    optimizer: str = "adam"
    learning_rate: float = 0.01


@pytest.mark.parametrize("name", WORLDS)
def test_every_graph_opens_on_the_device_and_nowhere_else(
    name: str, worlds: Path, device: Device
) -> None:
    from ncf.scoring.bundle import FOLD_IN_GRAPH
    from ncf.scoring.sessions import CPU, CUDA, open_session

    graphs = list((worlds / name / "ncf").glob("*.onnx"))
    assert len(graphs) >= 3
    for graph in graphs:
        if device is Device.CUDA and graph.name in {"topk.onnx", FOLD_IN_GRAPH}:
            continue  # the form for CPUs, and what only runs on one
        session = open_session(_always(graph), device)
        assert session.get_providers()[0] == (CUDA if device is Device.CUDA else CPU)


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("k", [10, 50, 10_000])
def test_lists_are_those_of_the_cpu_up_to_ties(
    name: str, k: int, worlds: Path, device: Device
) -> None:
    from ncf.scoring.bundle import open_bundle
    from ncf.scoring.exact import ExactRanker

    bundle = open_bundle(worlds / name / "ncf")
    users = np.arange(min(bundle.n_users, 300))
    found = ExactRanker.open(bundle, device).rank(users, k)
    expected = ExactRanker.open(bundle, Device.CPU).rank(users, k)
    seen_by = bundle.seen.of
    np.testing.assert_array_equal(found.valid(), expected.valid())
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    for user in users[:50]:
        listed = found.items[user][found.valid()[user]]
        assert np.unique(listed).size == listed.size == min(k, bundle.n_items - len(seen_by(user)))
        assert not np.isin(listed, seen_by(user)).any()


def test_a_gpu_with_little_memory_takes_smaller_blocks(worlds: Path, device: Device) -> None:
    from ncf.scoring.bundle import open_bundle
    from ncf.scoring.exact import ExactRanker
    from ncf.scoring.sessions import CudaOptions

    if device is not Device.CUDA:
        pytest.skip("a CPU has no such limit")
    bundle = open_bundle(worlds / "mlp-3" / "ncf")
    users = np.arange(bundle.n_users)
    ranker = ExactRanker.open(bundle, device, cuda=CudaOptions(memory=96 << 20))
    ranker.step = 400
    found = ranker.rank(users, 10)
    if bundle.n_items > 1000:
        assert ranker.step < 400
    expected = ExactRanker.open(bundle, Device.CPU).rank(users, 10)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


def test_the_server_answers_as_on_the_cpu(worlds: Path, device: Device) -> None:
    from handlers.service import Service
    from ncf.scoring.bundle import open_bundle

    folder = worlds / TRAINED / "ncf"
    users = open_bundle(folder).users.raw[:8]  # of a given checkpoint they are what its data says
    rows = [{"body": json.dumps({"user": user, "k": 5}).encode()} for user in users]
    here, there = (
        [json.loads(answer.body) for answer in Service(folder, device=each).answer(rows)[0]]
        for each in (device, Device.CPU)
    )
    for found, expected in zip(here, there, strict=True):
        np.testing.assert_allclose(_scores(found), _scores(expected), atol=1e-4)


@pytest.mark.parametrize("kind", Kind.networks())
def test_steps_on_the_device_are_those_of_the_cpu(kind: Kind, device: Device) -> None:
    rng = np.random.default_rng(0)
    ends = []
    drawn = rng.integers(0, 40, (6, 32)), rng.integers(0, 50, (6, 32, 5))
    for place in (device.value, "cpu"):
        torch.manual_seed(0)
        model = build(Architecture(kind, 40, 50, 8, 3)).to(place)
        optimizers = Optimizers(model, Steps(), 32, 160, by_row=True)
        learner = Learner(model, model, optimizers, Average(model, 0.2), l2=0.01)
        for users, items in zip(*drawn, strict=True):
            batch = Batch(torch.from_numpy(users).to(place), torch.from_numpy(items).to(place))
            learner.step(batch)
        optimizers.finish()
        ends.append({name: each.cpu().numpy() for name, each in model.state_dict().items()})
    for name, weights in ends[1].items():
        np.testing.assert_allclose(ends[0][name], weights, atol=2e-3, err_msg=name)


@pytest.mark.parametrize("amp", [False, True])
def test_training_on_the_device_learns(amp: bool, device: Device) -> None:  # noqa: FBT001 - a parameter of the test
    training = Training(Kind.NEUMF, draw(200, 120, 20), device.value, amp=amp)
    for _ in range(4):
        training.epoch()
    assert all(np.isfinite(training.ndcg))
    assert training.ndcg[-1] > 0.06  # by chance 0.045
