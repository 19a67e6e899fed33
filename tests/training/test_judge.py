"""Validation by full ranking, for data of a given split, against lists made the slow way."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import ncf
from ncf.data.prepared import PreparedData, open_data
from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Kind
from ncf.models.networks import GMF, MLP, Network, NeuMF
from ncf.models.scorer import group_scorer
from ncf.records import read_record
from ncf.training import judge as module
from ncf.training.history import HISTORY_FILE, History
from ncf.training.judge import Judge, K


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of a given split: 40 users, 60 items; each user has some pairs in every part."""
    rng = np.random.default_rng(3)
    rows = []
    for user in range(40):
        items = rng.permutation(60)[: rng.integers(6, 30)]
        parts = ["test", "validation", "validation", *["train"] * (items.size - 3)]
        rows += [(f"u{user}", f"i{item}", part) for item, part in zip(items, parts, strict=True)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "part"])
    out = tmp_path_factory.mktemp("given") / "data"
    ncf.prepare(frame, split="given", out=out)
    return out


@pytest.fixture(params=[GMF, MLP])
def network(request: pytest.FixtureRequest, given: Path) -> Network:
    torch.manual_seed(1)
    data = open_data(given)
    sizes = len(data.users), len(data.items), 4
    return GMF(*sizes) if request.param is GMF else MLP(*sizes, layers=1, dropout=0.0)


def _slowly(network: Network, data: PreparedData, users: list[int]) -> tuple[float, float]:
    score = group_scorer(network)
    hrs, ndcgs = [], []
    for user in users:
        wanted = set(data.validation.positives.items[data.validation.positives.users == user])
        learned = set(data.train.items[data.train.users == user])
        logits = score(np.array([user]), np.arange(len(data.items))[None])[0]
        ranked = [item for item in np.argsort(-logits, kind="stable") if item not in learned][:K]
        hit = [item in wanted for item in ranked]
        best = sum(1 / math.log2(rank + 2) for rank in range(min(K, len(wanted))))
        hrs.append(float(any(hit)))
        ndcgs.append(sum(h / math.log2(rank + 2) for rank, h in enumerate(hit)) / best)
    return float(np.mean(hrs)), float(np.mean(ndcgs))


def test_a_given_split_is_validated_over_the_whole_catalogue(network: Network, given: Path) -> None:
    data = open_data(given)
    judge = Judge(data)
    assert judge.protocol == "full"
    found = judge.measure(network)
    assert found == pytest.approx(_slowly(network, data, list(range(40))), rel=1e-6)
    assert 0 < found[1] < 1


def test_of_many_users_an_even_part_is_measured(
    network: Network, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = open_data(given)
    for name in ("_LOGITS", "_LOGITS_OF_A_TOWER"):
        monkeypatch.setattr(module, name, 14 * len(data.items))
    monkeypatch.setattr(module, "_LEAST_USERS", 3)
    some = list(range(0, 40, 3))
    assert Judge(data).measure(network) == pytest.approx(_slowly(network, data, some), rel=1e-6)


@pytest.mark.parametrize("full", [True, False])
def test_mixes_of_two_networks_are_measured_as_the_networks_that_they_make(
    given: Path, data: PreparedData, monkeypatch: pytest.MonkeyPatch, *, full: bool
) -> None:
    data = open_data(given) if full else data
    torch.manual_seed(4)
    sizes = len(data.users), len(data.items), 4
    gmf, mlp = GMF(*sizes), MLP(*sizes, layers=2, dropout=0.0)
    monkeypatch.setattr(module, "_SCORES_AT_ONCE", 3 * len(data.items))
    monkeypatch.setattr(module, "_ITEMS_AT_ONCE", 7)
    judge, expected = Judge(data), []
    shares = [0.0, 0.3, 0.9, 1.0]
    for share in shares:
        mixed = build(Architecture(Kind.NEUMF, *sizes, 2))
        assert isinstance(mixed, NeuMF)
        mixed.start_from(gmf, mlp, share)
        expected.append(judge.measure(mixed)[1])
    assert judge.measure_mixes((gmf, mlp), shares) == pytest.approx(expected, abs=1e-6)
    assert len(set(expected)) > 1
    assert expected[-1] == pytest.approx(judge.measure(gmf)[1])


def test_mixes_are_chosen_on_more_users_than_a_tower_is_measured_on(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = open_data(given)
    sizes = len(data.users), len(data.items), 4
    gmf, mlp = GMF(*sizes), MLP(*sizes, layers=1, dropout=0.0)
    monkeypatch.setattr(module, "_LOGITS", 14 * len(data.items))
    monkeypatch.setattr(module, "_LOGITS_OF_A_TOWER", 4 * len(data.items))
    monkeypatch.setattr(module, "_LEAST_USERS", 3)
    of_the_mlp = _slowly(mlp, data, list(range(0, 40, 3)))[1]
    assert Judge(data).measure_mixes((gmf, mlp), [0.0]) == pytest.approx([of_the_mlp], rel=1e-6)
    assert Judge(data).measure(mlp)[1] == pytest.approx(
        _slowly(mlp, data, [0, 13, 26, 39])[1], rel=1e-6
    )


def test_a_checkpoint_says_how_it_was_validated(given: Path, tmp_path: Path) -> None:
    found = ncf.train(given, model="gmf", out=tmp_path / "c", config={"schedule": {"epochs": 2}})
    assert found.validation()[0][0] == "validation HR@10 (full)"
    history = read_record(History, json.loads((tmp_path / "c" / HISTORY_FILE).read_bytes()))
    assert history.protocol == "full"
