"""Product weights: trained on everything, for as long as validation chose, and never measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ncf.data.prepared import PreparedData
from ncf.errors import ConfigError, InterruptedWorkError, UsageError
from ncf.models.kinds import Variant
from ncf.progress import report
from ncf.training import sampled_epochs as training
from ncf.training.addition import refit_only
from ncf.training.checkpoint import Checkpoint, open_checkpoint
from ncf.training.epoch import Samples, train_epoch
from ncf.training.ranks import ALONE
from ncf.training.recipe import Parents, Recipe
from ncf.training.request import ParentFolders, Request
from ncf.training.schedule import Schedule
from ncf.training.stage import Stage
from ncf.training.train import train

_SCHEDULE = Schedule(
    learning_rate=0.02, batch_size=64, epochs=3, patience=3, averaging=0.5, l2=1e-4, decay=0.9
)
_RECIPE = Recipe(
    factors=4,
    layers=2,
    dropout=0.1,
    schedule=_SCHEDULE,
    parents=Parents(gmf=_SCHEDULE.model_copy(update={"negatives": 2}), mlp=_SCHEDULE),
)


def _request(variant: Variant, out: Path, **changes: object) -> Request:
    return replace(Request(variant, _RECIPE, out, refit=True), **changes)  # type: ignore[arg-type]


def _let_pass(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    """Let so many epochs pass, and press Ctrl-C in the middle of the next."""
    passed = iter(range(10**6))

    def epoch(*arguments: object) -> float:
        loss = train_epoch(*arguments)  # type: ignore[arg-type]
        if next(passed) >= epochs:
            raise KeyboardInterrupt
        return loss

    monkeypatch.setattr(training, "train_epoch", epoch)


def _same(one: Checkpoint, other: Checkpoint) -> bool:
    assert one.product is not None
    assert other.product is not None
    return all(np.array_equal(one.product[name], other.product[name]) for name in one.product)


def _trained_on_all(data: PreparedData, request: Request, epochs: int) -> Stage:
    """A training of so many epochs on the joined data, step by step."""
    every = data.train.join(data.validation.positives, data.test.positives)
    order = np.lexsort((np.arange(len(every)), every.users))
    stage = Stage(request, replace(data, train=every.take(order)), {})
    return _advance(stage, request.recipe, epochs)


def _advance(stage: Stage, recipe: Recipe, epochs: int) -> Stage:
    with report("oracle") as bar:
        for epoch in range(epochs):
            stage.epochs.train(recipe.seed, epoch, bar)
    return stage


@pytest.mark.parametrize("variant", [Variant.GMF, Variant.MLP, Variant.NEUMF_END])
def test_product_weights_are_those_of_a_training_on_the_joined_data(
    variant: Variant, data: PreparedData, tmp_path: Path
) -> None:
    request = _request(variant, tmp_path / "c")
    train(request, data)
    found = open_checkpoint(tmp_path / "c")
    best = found.manifest.validation.best_epoch
    assert best
    expected = _trained_on_all(data, request, best).weights()
    assert found.product is not None
    for name, array in expected.items():
        np.testing.assert_array_equal(found.product[name], array)
        assert not np.array_equal(found.weights[name], array)
    facts = found.manifest.product
    assert facts is not None
    assert (facts.epochs, facts.interactions) == (best, len(data.interactions()))


def test_a_refit_of_neumf_pre_starts_from_refitted_parents_in_the_mix_that_was_chosen(
    data: PreparedData, tmp_path: Path
) -> None:
    train(_request(Variant.NEUMF_PRE, tmp_path / "c"), data)
    found = open_checkpoint(tmp_path / "c")
    manifest, parents = found.manifest, {}
    assert manifest.origins is not None
    for name, origin in manifest.origins.items():
        recipe = Recipe.model_validate({**origin.recipe})
        request = Request(Variant(name), recipe, tmp_path / name)
        parents[name] = _trained_on_all(data, request, origin.epochs).model
        weights = _trained_on_all(data, request, origin.epochs).weights()
        parents[name].load_state_dict(
            {key: torch.from_numpy(array) for key, array in weights.items()}
        )
    request = _request(Variant.NEUMF_PRE, tmp_path / "oracle")
    stage = Stage(request, data.joined(), {"gmf": "", "mlp": ""})
    stage.start_from(parents["gmf"], parents["mlp"], manifest.mix)  # type: ignore[arg-type]
    _advance(stage, _RECIPE, (manifest.validation.best_epoch or 0) - 1)
    assert found.product is not None
    for name, array in stage.weights().items():
        np.testing.assert_array_equal(found.product[name], array)


@pytest.mark.parametrize("variant", [Variant.GMF, Variant.NEUMF_PRE])
def test_figures_are_those_of_a_training_without_the_refit_and_it_can_be_added_later(
    variant: Variant, data: PreparedData, tmp_path: Path
) -> None:
    with_it = train(_request(variant, tmp_path / "with"), data)
    without = train(_request(variant, tmp_path / "without", refit=False), data)
    for name in ("hr", "ndcg", "best_epoch"):
        assert with_it[name] == without[name]
    both = [open_checkpoint(tmp_path / name) for name in ("with", "without")]
    assert both[1].product is None
    for name, array in both[0].weights.items():
        np.testing.assert_array_equal(array, both[1].weights[name])
    added = refit_only(_request(variant, tmp_path / "without"), data)
    assert added == with_it
    for path in (tmp_path / "with").iterdir():
        assert path.read_bytes() == (tmp_path / "without" / path.name).read_bytes()
    # There is nothing left to do.
    assert refit_only(_request(variant, tmp_path / "without"), data) == added


@pytest.mark.parametrize("variant", [Variant.GMF, Variant.NEUMF_PRE])
def test_resuming_covers_the_refit(
    variant: Variant, data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(_request(variant, tmp_path / "whole"), data)
    refits, request = tmp_path / ".broken.work" / "refit", _request(variant, tmp_path / "broken")
    seen = []
    for tries in range(40):
        with monkeypatch.context() as patch:
            _let_pass(patch, 1)
            try:
                found = train(replace(request, resume=tries > 0), data)
            except InterruptedWorkError as error:
                if "in the refit" in str(error):
                    seen.append(sorted(path.name for path in refits.glob("*")))
                    left = open_checkpoint(tmp_path / "broken")
                    assert (left.product, left.manifest.finished) == (None, False)
            else:
                break
    assert len(seen) > 1
    assert found == whole
    assert _same(*(open_checkpoint(tmp_path / name) for name in ("whole", "broken")))
    assert not (tmp_path / ".broken.work").exists()


def test_resume_adds_a_missing_refit_and_trains_nothing_else(
    data: PreparedData, tmp_path: Path
) -> None:
    request = _request(Variant.GMF, tmp_path / "c")
    train(replace(request, refit=False), data)
    weights = (tmp_path / "c" / "model.safetensors").read_bytes()
    train(replace(request, resume=True), data)
    assert open_checkpoint(tmp_path / "c").product is not None
    assert (tmp_path / "c" / "model.safetensors").read_bytes() == weights


def test_given_parents_give_their_product_weights(data: PreparedData, tmp_path: Path) -> None:
    for variant, schedule in (
        (Variant.GMF, _RECIPE.parents.gmf),
        (Variant.MLP, _RECIPE.parents.mlp),
    ):
        recipe = _RECIPE.model_copy(update={"schedule": schedule, "parents": Parents()})
        request = _request(variant, tmp_path / variant.value, recipe=recipe)
        train(replace(request, refit=variant is Variant.GMF), data)
    parents = ParentFolders(tmp_path / "gmf", tmp_path / "mlp")
    train(_request(Variant.NEUMF_PRE, tmp_path / "given", parents=parents), data)
    train(_request(Variant.NEUMF_PRE, tmp_path / "own"), data)
    assert _same(*(open_checkpoint(tmp_path / name) for name in ("given", "own")))
    assert open_checkpoint(tmp_path / "mlp").product is None


def test_a_refit_draws_no_known_pair_as_a_negative(data: PreparedData) -> None:
    joined = data.joined()
    known = set(zip(joined.train.users.tolist(), joined.train.items.tolist(), strict=True))
    assert len(known) == len(data.interactions()) > len(data.train)
    samples = Samples(joined.train, 8, 64, torch.device("cpu"), ALONE)
    for users, items in samples.batches(0, 0):
        for user, (_, *negatives) in zip(users.tolist(), items.tolist(), strict=True):
            assert not {(user, item) for item in negatives} & known


def test_a_refit_of_an_interrupted_training_is_refused(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = _request(Variant.GMF, tmp_path / "c")
    with monkeypatch.context() as patch:
        _let_pass(patch, 1)
        with pytest.raises(InterruptedWorkError):
            train(request, data)
    with pytest.raises(ConfigError, match="interrupted; go on with `resume=True`"):
        refit_only(request, data)


def test_a_refit_that_diverges_leaves_the_honest_weights(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([0.0] * _SCHEDULE.epochs + [float("nan")])
    monkeypatch.setattr(training, "train_epoch", lambda *a: next(losses) + train_epoch(*a))
    with pytest.raises(ConfigError, match="became nan in the refit; holds the honest weights"):
        train(_request(Variant.GMF, tmp_path / "c"), data)
    assert open_checkpoint(tmp_path / "c").product is None


def test_product_weights_are_exported_and_never_measured(
    data: PreparedData, tmp_path: Path
) -> None:
    train(_request(Variant.GMF, tmp_path / "c"), data)
    found = open_checkpoint(tmp_path / "c")
    exported = found.exported()
    assert exported.weights is found.product
    found.require_honest()
    with pytest.raises(UsageError, match="trained on the test rows"):
        exported.require_honest()
