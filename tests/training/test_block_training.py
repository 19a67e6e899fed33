"""Block training against autograd over all pairs, the sampled loss, and Adam by row."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from ncf.data.interactions import Interactions
from ncf.data.prepared import PreparedData
from ncf.errors import ConfigError, UsageError
from ncf.evaluation.protocols import sampled
from ncf.models.kinds import Variant
from ncf.models.networks import GMF
from ncf.models.scorer import group_scorer
from ncf.progress import Reporter, report
from ncf.training import blocks as module
from ncf.training.block_epochs import BlockEpochs
from ncf.training.block_parts import TrainingPairs, columns_of, unseen_weights
from ncf.training.blocks import Pairs, Rows, Scratch, Weights, gradients
from ncf.training.checkpoint import open_checkpoint
from ncf.training.epoch import Samples
from ncf.training.ranks import ALONE
from ncf.training.recipe import Parents, Recipe
from ncf.training.request import ParentFolders, Request
from ncf.training.schedule import Blocks, Schedule, Start
from ncf.training.stage import Stage
from ncf.training.start import SharedStart
from ncf.training.train import train
from ncf.training.user_adam import UserAdam

_CPU = torch.device("cpu")


def _world(seed: int, n_users: int, n_items: int) -> Interactions:
    """Random pairs: the first user has every item, the last has none, others have one or more."""
    rng = np.random.default_rng(seed)
    seen = rng.random((n_users, n_items)) < rng.random((n_users, 1)) * rng.random((1, n_items))
    seen[:, 0] = seen[0] = True
    seen[-1] = False
    users, items = np.nonzero(seen)
    return Interactions(users.astype(np.int32), items.astype(np.int32), n_users, n_items)


def _rows(seed: int, train: Interactions, width: int = 3) -> Rows:
    random = torch.Generator().manual_seed(seed)
    shapes = (train.n_users, width), (train.n_items, width), (1,)
    users, items, bias = (torch.randn(shape, generator=random) for shape in shapes)
    return Rows(users, items, bias)


def _all_pairs(train: Interactions) -> Pairs:
    return TrainingPairs.on(_CPU, train).of(torch.arange(train.n_users))


def _by_autograd(rows: Rows, train: Interactions, weights: Tensor) -> tuple[Tensor, ...]:
    """Loss and gradients, pair by pair: ``weights`` of unseen pairs, of shape (users, items)."""
    leaves = [each.double().requires_grad_() for each in rows]
    seen = torch.from_numpy(train.csr().toarray()).bool()
    loss = torch.zeros((), dtype=torch.float64)
    for user in range(train.n_users):
        for item in range(train.n_items):
            logit = leaves[0][user] @ leaves[1][item] + leaves[2][0]
            if seen[user, item]:
                loss = loss + functional.softplus(-logit)
            else:
                loss = loss + weights[user, item] * functional.softplus(logit)
    return (loss.detach(), *torch.autograd.grad(loss, leaves))


def _used_scratch(rows: Rows) -> Scratch:
    """Scratch of earlier blocks: what is in it must not matter."""
    scratch = Scratch()
    for name in ("logits", "gradient"):
        scratch.array(name, (len(rows.items), 64), rows.items).fill_(np.nan)
    return scratch


def test_no_users_have_no_gradient() -> None:
    # A process with fewer users than there are steps has blocks without any.
    train = _world(3, 4, 5)
    users, items, bias = _rows(3, train)
    none = TrainingPairs.on(_CPU, train).of(torch.zeros(0, dtype=torch.int64))
    weights = Weights(torch.zeros(0), torch.ones(5))
    block = Rows(users[:0], items, bias)
    found = gradients(block, none, weights, with_loss=True, scratch=_used_scratch(block))
    assert found.users.shape == (0, users.shape[1])
    assert not found.items.any()
    assert (found.bias.item(), found.loss) == (0.0, 0.0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n_users=st.integers(2, 5), n_items=st.integers(2, 6))
@pytest.mark.parametrize("at_once", [1, 1 << 26])
def test_gradients_are_those_of_autograd_over_all_pairs(
    at_once: int, seed: int, n_users: int, n_items: int
) -> None:
    train = _world(seed, n_users, n_items)
    rows, rng = _rows(seed, train), np.random.default_rng(seed)
    unseen = Weights(
        *(torch.from_numpy(rng.random(n).astype(np.float32)) for n in (n_users, n_items))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BYTES_AT_ONCE", at_once)  # 1: a user at a time
        scratch = _used_scratch(rows)
        found = gradients(rows, _all_pairs(train), unseen, with_loss=True, scratch=scratch)
    loss, *expected = _by_autograd(
        rows, train, torch.outer(unseen.users.double(), unseen.items.double())
    )
    assert found.loss == pytest.approx(loss.item(), rel=1e-5)
    for ours, theirs in zip((found.users, found.items, found.bias), expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5)


def test_gradients_are_the_expectation_of_the_sampled_ones() -> None:
    train, negatives, epochs = _world(3, 6, 9), 2, 1500
    rows = _rows(3, train)
    leaves = [each.clone().requires_grad_() for each in rows]
    samples = Samples(train, negatives, 10**6, _CPU, ALONE)
    loss = torch.zeros(())
    for epoch in range(epochs):
        (batch,) = samples.batches(seed=5, epoch=epoch)
        items = batch.items.long()
        dots = (leaves[0][batch.users.long()].unsqueeze(1) * leaves[1][items]).sum(-1)
        logits = dots + leaves[2]
        loss = (
            loss
            + functional.softplus(-logits[:, 0]).sum()
            + functional.softplus(logits[:, 1:]).sum()
        )
    sampled = torch.autograd.grad(loss / epochs, leaves)
    counts = torch.from_numpy(np.diff(train.csr().indptr)).float()
    # Sampling leaves out a user who has seen everything: nothing can be drawn.
    users = torch.nonzero((counts > 0) & (counts < train.n_items)).squeeze(1)
    pairs = TrainingPairs.on(_CPU, train).of(users)
    of_users = negatives * counts[users] / (train.n_items - counts[users])
    own = Rows(rows.users[users], rows.items, rows.bias)
    found = gradients(own, pairs, Weights(of_users, torch.ones(train.n_items)))
    scale = found.items.abs().mean().item()
    torch.testing.assert_close(found.users, sampled[0][users], rtol=0, atol=0.15 * scale)
    torch.testing.assert_close(found.items, sampled[1], rtol=0, atol=0.15 * scale)


def test_a_random_part_of_the_items_gives_the_whole_gradient_on_average() -> None:
    train, part = _world(4, 5, 23), 6
    rows = _rows(4, train)
    users_with_few = torch.tensor([1, 2, 3])
    pairs = TrainingPairs.on(_CPU, train).of(users_with_few)
    rows = Rows(rows.users[users_with_few], rows.items, rows.bias)
    unseen = unseen_weights(Blocks(unseen=0.3, negatives=0.0, popularity=0.5), train, _CPU)
    unseen = Weights(unseen.users[users_with_few], unseen.items)
    whole = gradients(rows, pairs, unseen)
    random, draws = np.random.default_rng(0), 4000
    users, items = torch.zeros_like(whole.users), torch.zeros_like(whole.items)
    for _ in range(draws):
        placed, columns = columns_of(pairs, unseen.items, part, random)
        assert columns.chosen is not None
        assert part <= len(columns.chosen) < 23
        some = Rows(rows.users, rows.items[columns.chosen], rows.bias)
        found = gradients(some, placed, Weights(unseen.users, columns.weights))
        users += found.users / draws
        items.index_add_(0, columns.chosen, found.items / draws)
    torch.testing.assert_close(users, whole.users, rtol=0, atol=0.06)
    torch.testing.assert_close(items, whole.items, rtol=0, atol=0.06)
    assert columns_of(pairs, unseen.items, 12, random)[1].chosen is None  # whole from half on


def test_unseen_pairs_weigh_alike_but_for_popularity() -> None:
    train = Interactions(np.arange(4, dtype=np.int32), np.array([0, 0, 0, 2], np.int32), 5, 3)
    found = unseen_weights(Blocks(unseen=0.3, negatives=0.0, popularity=1.0), train, _CPU)
    assert found.users.tolist() == pytest.approx([0.3] * 5)
    dense = unseen_weights(Blocks(unseen=0.3, negatives=5.0), train, _CPU)
    assert dense.users.tolist() == pytest.approx([5 * 4 / 8] * 5)  # 4 users miss 2 of 3 items each
    assert found.items.tolist() == pytest.approx([1.5, 0, 0.5])  # nobody has the second one


@pytest.mark.parametrize("part", [3, 100])
def test_blocks_teach_nothing_of_an_item_that_nobody_has(part: int) -> None:
    users, items = np.array([0, 0, 1, 1, 2], np.int32), np.array([0, 2, 2, 5, 6], np.int32)
    train = Interactions(users, items, 3, 9)
    torch.manual_seed(0)
    model = GMF(3, 9, 4)
    schedule = Schedule(learning_rate=0.02, l2=0, averaging=1)
    epochs = BlockEpochs(model, schedule, Blocks(users=2, items=part, unseen=0.5), train, ALONE)
    before = model.gmf.item.weight.detach().clone()
    with report("test") as bar:
        for epoch in range(3):
            epochs.train(0, epoch, bar)
    moved = (model.gmf.item.weight != before).any(dim=1)
    assert torch.nonzero(moved).squeeze(1).tolist() == [0, 2, 5, 6]


def test_user_adam_is_adam_of_each_row() -> None:
    ours, theirs = (torch.nn.Parameter(torch.ones(3, 2)) for _ in range(2))
    by_row, adam = UserAdam([ours], 0.1), torch.optim.Adam([theirs], 0.1)
    for count in range(1, 6):
        gradient = torch.randn(3, 2, generator=torch.Generator().manual_seed(count))
        order = torch.randperm(3, generator=torch.Generator().manual_seed(count))
        for rows in (order[:2], order[2:]):
            by_row.step_rows(ours, rows, gradient[rows], count)
        theirs.grad = gradient
        adam.step()
    torch.testing.assert_close(ours, theirs)


def _recipe(**changes: object) -> Recipe:
    blocks = Blocks(users=7, steps=2, items=3, unseen=0.5, negatives=0.0)
    schedule = Schedule(learning_rate=0.02, l2=0.01, averaging=0.3, epochs=30, blocks=blocks)
    return Recipe(factors=4, layers=2, schedule=schedule.model_copy(update=changes))


def _hits(checkpoint: Path, data: PreparedData) -> float:
    """HR@5; a test positive has a dozen rivals, most of them of the other camp."""
    return sampled(group_scorer(open_checkpoint(checkpoint).model()), data.test, 5).hr


def test_an_epoch_takes_each_user_once(data: PreparedData) -> None:
    model, recipe = GMF(len(data.users), len(data.items), 4), _recipe()
    assert recipe.schedule.blocks is not None
    epochs = BlockEpochs(model, recipe.schedule, recipe.schedule.blocks, data.train, ALONE)
    taken = [users for users, *_ in epochs._parts(seed=1, epoch=0)]
    assert max(len(users) for users in taken) <= 7
    assert sorted(torch.cat(taken).tolist()) == sorted(set(data.train.users.tolist()))
    others = torch.cat([users for users, *_ in epochs._parts(seed=1, epoch=1)])
    assert torch.cat(taken).tolist() != others.tolist()


def test_gmf_learns_the_two_camps_from_all_pairs(data: PreparedData, tmp_path: Path) -> None:
    found = train(Request(Variant.GMF, _recipe(), tmp_path / "c"), data)
    assert _hits(tmp_path / "c", data) > 0.8
    again = train(Request(Variant.GMF, _recipe(), tmp_path / "d"), data)
    assert again["digest"] == found["digest"]


@pytest.mark.parametrize("variant", [Variant.MLP, Variant.NEUMF_END])
def test_a_network_starts_from_a_gmf(variant: Variant, data: PreparedData, tmp_path: Path) -> None:
    start = Start(
        epochs=30,
        learning_rate=0.02,
        l2=0.01,
        blocks=Blocks(users=7, steps=2, unseen=0.5, negatives=0.0),
    )
    changes: dict[str, object] = {"start": start, "blocks": None, "epochs": 3, "batch_size": 64}
    request = Request(variant, _recipe(**changes), tmp_path / "c")
    train(request, data)
    assert _hits(tmp_path / "c", data) > 0.8
    stage = Stage(request, data, {})
    stage._begin()
    network = stage.model
    if variant is Variant.NEUMF_END:  # the tower has no say before it is trained
        users, items = torch.arange(5), torch.arange(5)[:, None]
        rows = network.branches()[0]
        dots = (rows.user(users) * rows.item(items.squeeze(1))).sum(-1, keepdim=True)
        torch.testing.assert_close(
            network(users, items), dots + network.get_parameter("output.bias")
        )
    taken = network.branches()[0].width - 1  # all factors but the items' bias
    tower = network.branches()[-1].user.weight[:, :taken]
    assert tower.square().mean().sqrt().item() == pytest.approx(start.scale, rel=0.05)


def _parents(l2: float) -> Parents:
    """A GMF, and an MLP that starts from one of this L2, otherwise trained alike."""
    blocks = Blocks(users=7, steps=2, unseen=0.5, negatives=0.0)
    rates = {"learning_rate": 0.02, "averaging": 0.3, "blocks": blocks}
    start = Start(**rates, l2=l2, epochs=3)  # type: ignore[arg-type]
    return Parents(
        gmf=Schedule(**rates, l2=0.01, epochs=6, patience=6),  # type: ignore[arg-type]
        mlp=Schedule(learning_rate=0.01, batch_size=64, epochs=2, start=start),
    )


@pytest.mark.parametrize(("l2", "factors"), [(0.01, 2), (0.02, 2), (0.01, 3)])
def test_parents_that_would_train_the_same_gmf_train_it_once(
    l2: float, factors: int, data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = {"schedule": Schedule(epochs=0), "parents": _parents(l2)}
    recipe = Recipe(factors=factors, gmf_factors=4, layers=2).model_copy(update=mixed)
    epochs, trained = [], BlockEpochs.train

    def counted(self: BlockEpochs, seed: int, epoch: int, progress: Reporter) -> float:
        epochs.append(epoch)
        return trained(self, seed, epoch, progress)

    monkeypatch.setattr(BlockEpochs, "train", counted)
    request = Request(Variant.NEUMF_PRE, recipe, tmp_path / "shared", refit=True)
    found = train(request, data)
    of_gmf = len(epochs)
    monkeypatch.setattr(SharedStart, "fill", lambda *_: False)
    assert train(replace(request, out=tmp_path / "apart"), data)["digest"] == found["digest"]
    others = len(epochs) - 2 * of_gmf
    assert others == (2 * 3 if (l2, factors) == (0.01, 2) else 0), "those of the MLP's own GMF"


def test_a_refit_of_parents_that_were_trained_apart_starts_each_from_its_own(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, parents = Recipe(factors=2, gmf_factors=4, layers=2), _parents(l2=0.01)
    for variant, schedule, seed in (
        (Variant.GMF, parents.gmf, 1),
        (Variant.MLP, parents.mlp, 0),
    ):
        own = recipe.model_copy(update={"schedule": schedule, "seed": seed})
        train(Request(variant, own, tmp_path / variant.value), data)
    mixed = {"schedule": Schedule(epochs=0), "parents": parents}
    folders = ParentFolders(tmp_path / "gmf", tmp_path / "mlp")
    request = Request(
        Variant.NEUMF_PRE,
        recipe.model_copy(update=mixed),
        tmp_path / "shared",
        parents=folders,
        refit=True,
    )
    found = train(request, data)
    monkeypatch.setattr(SharedStart, "fill", lambda *_: False)
    assert train(replace(request, out=tmp_path / "apart"), data)["digest"] == found["digest"]


def test_blocks_train_a_gmf_alone(data: PreparedData, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="blocks train GMF alone, not mlp"):
        Stage(Request(Variant.MLP, _recipe(), tmp_path), data, {})
    with pytest.raises(ConfigError, match="a gmf starts from nothing"):
        Stage(Request(Variant.GMF, _recipe(start=Start()), tmp_path), data, {})
    with pytest.raises(ConfigError, match="epochs = 0 trains nothing"):
        Stage(Request(Variant.GMF, _recipe(epochs=0), tmp_path), data, {})


def test_nothing_unseen_is_nothing_to_learn_from() -> None:
    every = Interactions(np.zeros(2, np.int32), np.arange(2, dtype=np.int32), 1, 2)
    with pytest.raises(UsageError, match="nothing to learn from"):
        BlockEpochs(GMF(1, 2, 2), Schedule(), Blocks(), every, ALONE)


def test_an_interrupted_block_training_goes_on_as_if_nothing_had_happened(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ncf.training.stage._SAVING", 1.0)  # a state after every epoch

    def stop_after_two() -> None:
        if stage.progress.epoch == 2:
            raise KeyboardInterrupt

    train(Request(Variant.GMF, _recipe(epochs=5), tmp_path / "whole"), data)
    request = Request(Variant.GMF, _recipe(epochs=5), tmp_path / "cut")
    stage = Stage(request, data, {})
    with pytest.raises(KeyboardInterrupt):
        stage.run(tmp_path / "state", stop_after_two)
    stage = Stage(request, data, {})
    stage.restore(tmp_path / "state")
    assert stage.progress.epoch == 2
    stage.run(None)
    stage.publish(tmp_path / "cut", finished=True)
    whole, cut = (open_checkpoint(tmp_path / name).weights for name in ("whole", "cut"))
    for name, array in whole.items():
        np.testing.assert_array_equal(array, cut[name])
