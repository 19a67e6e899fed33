import itertools
from typing import cast

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from ncf.data.prepared import PreparedData
from ncf.errors import ConfigError
from ncf.models.architecture import Architecture, build
from ncf.models.branches import Branch, MLPBranch
from ncf.models.kinds import Kind
from ncf.models.networks import GMF, MLP, NeuMF
from ncf.models.scorer import group_scorer, scorer
from ncf.training.checkpoint import WEIGHTS_FILE
from tests.conftest import random_checkpoint
from tests.oracles import numpy_logit


def _tower(model: MLP | NeuMF) -> list[nn.Linear]:
    return cast("list[nn.Linear]", list(model.mlp.tower))


def _count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_neumf_of_the_tutorials_sizes_has_its_parameter_count() -> None:
    assert _count(build(Architecture(Kind.NEUMF, 6038, 3533, 32, 3))) == 1_574_657


@pytest.mark.parametrize("layers", range(1, 6))
def test_the_tower_halves_from_twice_the_embedding_to_the_factors(layers: int) -> None:
    model = MLP(5, 6, 4, layers, 0.0)
    widths = [(linear.in_features, linear.out_features) for linear in _tower(model)]
    assert model.mlp.user.embedding_dim == 4 * 2 ** (layers - 1)
    assert widths[0][0] == 2 * model.mlp.user.embedding_dim
    assert widths[-1][1] == 4
    assert all(inputs == 2 * outputs for inputs, outputs in widths)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(widths))


def test_initial_weights_are_drawn_as_the_paper_says() -> None:
    torch.manual_seed(0)
    model = NeuMF(Branch(4000, 3000, 16), MLPBranch(4000, 3000, 16, 3, 0.0))
    for embedding in (model.gmf.user, model.gmf.item, model.mlp.user, model.mlp.item):
        assert float(embedding.weight.detach().mean()) == pytest.approx(0, abs=1e-4)
        assert float(embedding.weight.detach().std()) == pytest.approx(0.01, rel=0.02)
    for linear in (*_tower(model), model.output):
        assert torch.count_nonzero(linear.bias) == 0
    first = _tower(model)[0].weight.detach()
    bound = (6 / (first.shape[0] + first.shape[1])) ** 0.5
    assert 0.97 * bound < float(first.abs().max()) <= bound  # Xavier uniform
    # Kaiming uniform with a = 1 and the gain of a sigmoid: bound sqrt(3 / fan_in).
    largest = float(model.output.weight.detach().abs().max())
    assert 0.8 * (3 / 32) ** 0.5 < largest <= (3 / 32) ** 0.5


def test_neumf_pre_starts_from_its_parents_with_half_of_each_output() -> None:
    gmf, mlp, neumf = (
        GMF(5, 6, 4),
        MLP(5, 6, 4, 3, 0.0),
        NeuMF(Branch(5, 6, 4), MLPBranch(5, 6, 4, 3, 0.0)),
    )
    torch.nn.init.constant_(gmf.output.bias, 2.0)
    neumf.start_from(gmf, mlp)
    users, items = np.repeat(np.arange(5), 6), np.tile(np.arange(6), 5)
    mixed = 0.5 * scorer(gmf)(users, items) + 0.5 * scorer(mlp)(users, items)
    np.testing.assert_allclose(scorer(neumf)(users, items), mixed, atol=1e-6)
    assert neumf.output.bias.item() == pytest.approx(1.0)


@pytest.mark.parametrize("layers", [1, 3, 5])
@pytest.mark.parametrize("kind", Kind.networks())
def test_the_forward_pass_agrees_with_plain_numpy_on_the_safetensors_file(
    kind: Kind, layers: int, data: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("checkpoint") / "model"
    checkpoint = random_checkpoint(folder, data, kind, layers=layers)
    weights = load_file(folder / WEIGHTS_FILE)
    rng = np.random.default_rng(1)
    users = rng.integers(0, len(data.users), 200)
    items = rng.integers(0, len(data.items), 200)
    expected = [numpy_logit(weights, u, i) for u, i in zip(users, items, strict=True)]
    found = scorer(checkpoint.model())(users, items)
    assert np.ptp(found) > 0.5
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    model = MLP(5, 6, 8, 2, 0.5)
    torch.nn.init.normal_(model.mlp.user.weight)
    users, items = np.zeros(4, np.int64), np.arange(4)
    model.train()
    score = scorer(model)
    np.testing.assert_array_equal(score(users, items), score(users, items))
    assert model.training
    pair = torch.zeros(4, dtype=torch.int64), torch.arange(4)
    assert not torch.equal(model(*pair), model(*pair))


@pytest.mark.parametrize(
    ("layers", "dropout", "factors"),
    [(0, 0.0, 8), (6, 0.0, 8), (3, 1.0, 8), (3, -0.1, 8), (3, 0.0, 0)],
)
def test_sizes_out_of_range_are_refused(layers: int, dropout: float, factors: int) -> None:
    with pytest.raises(ConfigError):
        Architecture(Kind.MLP, 5, 5, factors, layers, dropout)


@pytest.mark.parametrize("kind", Kind.networks())
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("each", [1, 2, 9])  # nine of three users' are more than the catalogue
def test_items_of_a_user_score_as_pairs_do(kind: Kind, layers: int, each: int) -> None:
    torch.manual_seed(1)
    model = build(Architecture(kind, 7, 12, 4, layers, gmf_factors=6))
    rng = np.random.default_rng(2)
    users, items = rng.integers(0, 7, 3), rng.integers(0, 12, (3, each))
    pairs = np.array(
        [
            [float(model(torch.tensor([user]), torch.tensor([[item]])).detach()) for item in own]
            for user, own in zip(users.tolist(), items.tolist(), strict=True)
        ]
    )
    together = model(torch.from_numpy(users), torch.from_numpy(items)).detach().numpy()
    np.testing.assert_allclose(together, pairs, atol=1e-7)
    np.testing.assert_allclose(group_scorer(model)(users, items), pairs, atol=1e-7)
    alone = scorer(model)(np.repeat(users, each), items.ravel())
    np.testing.assert_allclose(alone, pairs.ravel(), atol=1e-7)


@pytest.mark.parametrize("kind", Kind.networks())
@pytest.mark.parametrize("each", [2, 9])
def test_the_squared_norm_counts_each_embedding_as_often_as_it_is_met(
    kind: Kind, each: int
) -> None:
    torch.manual_seed(1)
    model = build(Architecture(kind, 7, 12, 4, 2))
    rng = np.random.default_rng(3)
    users, items = rng.integers(0, 7, 3), rng.integers(0, 12, (3, each))
    weights = rng.random((3, each)).astype(np.float32)
    expected = 0.0
    for branch in model.branches():
        of_users, of_items = (table.weight.detach().numpy() for table in (branch.user, branch.item))
        for row, user in enumerate(users):
            expected += float((of_users[user] ** 2).sum())
            for column, item in enumerate(items[row]):
                expected += float((of_items[item] ** 2).sum()) * float(weights[row, column])
    arrays = (torch.from_numpy(array) for array in (users, items, weights))
    assert float(model.squared_norm(*arrays).detach()) == pytest.approx(expected, rel=1e-5)


def test_the_branches_of_neumf_may_differ_in_width() -> None:
    model = build(Architecture(Kind.NEUMF, 7, 12, 4, 2, gmf_factors=6))
    assert isinstance(model, NeuMF)
    assert (model.gmf.user.embedding_dim, model.mlp.user.embedding_dim) == (6, 8)
    assert model.output.in_features == 10
