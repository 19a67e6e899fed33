"""Warm starts: what is kept by raw id, what is made new, and which figures may be given."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import ncf
from export.publish import publish
from export.source import Source
from ncf.api.recipes import warm_recipe_of
from ncf.artifacts import read_manifest
from ncf.cli.app import app
from ncf.data.interactions import Interactions
from ncf.data.options import Format, Options, SplitKind
from ncf.data.prepare import prepare
from ncf.data.prepared import PreparedData, open_data
from ncf.errors import ArtifactError, ConfigError, InterruptedWorkError, UsageError
from ncf.models.architecture import build
from ncf.models.kinds import Variant
from ncf.models.networks import GMF, NeuMF
from ncf.models.weights import Weights
from ncf.progress import report
from ncf.scoring.bundle import open_bundle
from ncf.scoring.fold_in_manifest import FoldInFacts
from ncf.training import sampled_epochs as training
from ncf.training.addition import refit_only
from ncf.training.checkpoint import Checkpoint, open_checkpoint
from ncf.training.epoch import train_epoch
from ncf.training.manifest import CHECKPOINT
from ncf.training.recipe import Parents, Recipe
from ncf.training.request import Request
from ncf.training.sampled_epochs import SampledEpochs
from ncf.training.schedule import Blocks, Schedule
from ncf.training.stage import Stage
from ncf.training.train import train
from ncf.training.warm_start import inherit, warm_recipe
from ncf.training.warm_weights import without_output_weights

_SAMPLED = Schedule(learning_rate=0.02, batch_size=64, epochs=3, averaging=0.5, l2=1e-4)
_BLOCKED = Schedule(learning_rate=0.05, epochs=12, l2=0.05, patience=12, blocks=Blocks(steps=4))
_MIXED = Schedule(epochs=0)
_PARTS = (Variant.GMF, Variant.MLP)
_ONCE = SplitKind.LEAVE_ONE_OUT
_GONE = {"u0", "u1"}
_RECIPE = Recipe(factors=4, gmf_factors=6, layers=2)


def _recipe(variant: Variant) -> Recipe:
    if variant is Variant.GMF:
        return _RECIPE.model_copy(update={"schedule": _BLOCKED})
    if variant is Variant.NEUMF_PRE:
        parents = Parents(gmf=_BLOCKED, mlp=_SAMPLED, mix=0.7)
        return _RECIPE.model_copy(update={"schedule": _MIXED, "parents": parents})
    return _RECIPE.model_copy(update={"schedule": _SAMPLED})


def _rows(users: Sequence[int], days: int) -> list[str]:
    """Two camps, as everywhere; each day everybody takes one more film of their camp."""
    rows = []
    for user in users:
        liked = np.random.default_rng(user).permutation(np.arange(user % 2, 30, 2))
        rows += [f"u{user},film {item},{day}" for day, item in enumerate(liked[: 6 + days])]
    return rows


def _prepared(folder: Path, rows: Sequence[str], split: SplitKind) -> PreparedData:
    folder.mkdir(parents=True)
    file = folder / "ratings.csv"
    file.write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    prepare(file, Format.CSV, folder / "data", Options(split=split, negatives=8))
    return open_data(folder / "data")


def _raw(data: PreparedData, pairs: Interactions) -> list[tuple[str, str]]:
    both = zip(pairs.users.tolist(), pairs.items.tolist(), strict=True)
    return [(data.users.raw[user], data.items.raw[item]) for user, item in both]


def _slow_pairs(data: PreparedData, part: str) -> set[tuple[str, str]]:
    return set(_raw(data, data.train if part == "train" else getattr(data, part).positives))


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> list[PreparedData]:
    """Three nights: users 0 and 1 leave after the first, 30 to 33 join, and so does a film.

    In the fourth, known even users took nothing since the first.
    """
    root, once = tmp_path_factory.mktemp("nights"), SplitKind.LEAVE_ONE_OUT
    tonight = _rows(range(33, 1, -1), 2) + [f"u{user},premiere,0" for user in range(4, 30, 2)]
    found = [
        _prepared(root / "0", _rows(range(30), 0), once),
        _prepared(root / "1", tonight, once),
        _prepared(root / "2", _rows(range(2, 34), 4), once),
        _prepared(root / "3", [*_rows(range(33, 1, -1), 0), "u33,premiere,0"], once),
    ]
    # Of even users, the fourth night's training has nothing that the first night's had not.
    learned, train = _slow_pairs(found[0], "train"), found[3].train
    stay = [p in learned or int(p[0][1:]) % 2 or int(p[0][1:]) >= 30 for p in _raw(found[3], train)]
    found[3] = replace(found[3], train=train.take(np.array(stay, np.bool_)))
    # Validation pairs are drawn at random, and some were in the training of the night before.
    before = _slow_pairs(found[0], "train")
    for night in (1, 2):
        mine = _raw(found[night], found[night].validation.positives)
        fresh = np.array([pair not in before for pair in mine])
        before |= _slow_pairs(found[night], "train")
        found[night] = replace(found[night], validation=found[night].validation.take(fresh))
    return found


@pytest.fixture(scope="module")
def parents(
    nights: list[PreparedData], tmp_path_factory: pytest.TempPathFactory
) -> dict[Variant, Checkpoint]:
    root, found = tmp_path_factory.mktemp("parents"), {}
    for variant in (Variant.GMF, Variant.MLP, Variant.NEUMF_PRE):
        request = Request(variant, _recipe(variant), root / variant.value, refit=True)
        train(request, nights[0])
        found[variant] = open_checkpoint(root / variant.value)
    return found


def _warm(parent: Checkpoint, data: PreparedData, out: Path, **changes: object) -> Request:
    variant = Variant(parent.manifest.variant)
    request = Request(variant, warm_recipe(parent), out, refit=True, warm=inherit(parent, data))
    return replace(request, **changes)  # type: ignore[arg-type]


def _night(parent: Checkpoint, data: PreparedData, out: Path, **changes: object) -> Checkpoint:
    train(_warm(parent, data, out, **changes), data)
    return open_checkpoint(out)


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("variant", [Variant.GMF, Variant.MLP, Variant.NEUMF_PRE])
def test_rows_are_kept_by_raw_id(
    variant: Variant,
    everything: bool,  # noqa: FBT001 - a parameter of the test
    nights: list[PreparedData],
    parents: dict[Variant, Checkpoint],
) -> None:
    """A row that is kept is the same unless the user's history grew."""
    parent, data = parents[variant], nights[3]
    before, now = _slow_pairs(nights[0], "train"), _slow_pairs(data, "train")
    grown = set() if everything else {user for user, _ in now - before}
    assert everything or 10 < len(grown) < 20
    start = inherit(parent, data).weights(everything=everything)
    old = parent.product if everything else parent.weights
    assert old is not None
    kept = {"user": 0, "item": 0}
    for name, array in start.items():
        side = name.split(".")[1]
        if side not in kept:
            np.testing.assert_array_equal(array, old[name])
            continue
        ids, known = (data.users, parent.users) if side == "user" else (data.items, parent.items)
        moved = grown if side == "user" else set()
        for index, raw in enumerate(ids.raw):
            if (was := known.index(raw)) is not None:
                same = np.array_equal(array[index], old[name][was])
                assert same == (raw not in moved)
                kept[side] += 1
            else:
                assert np.abs(array[index]).max() > 0
    assert min(kept.values()) >= 28
    facts = inherit(parent, nights[1]).facts
    assert (facts.users.kept, facts.users.new, facts.users.dropped) == (28, 4, 2)
    assert (facts.items.kept, facts.items.new, facts.items.dropped) == (30, 1, 0)


def _scores(weights: Weights, data: PreparedData) -> torch.Tensor:
    sizes = len(data.users), len(data.items)
    network = GMF(*sizes, _RECIPE.gmf_factors or 0)
    network.load_state_dict({name: torch.from_numpy(each) for name, each in weights.items()})
    items = torch.arange(sizes[1]).expand(sizes[0], -1)
    with torch.no_grad():
        scored: torch.Tensor = network(torch.arange(sizes[0]), items)
    return scored


def test_new_users_and_items_start_in_their_camp(
    nights: list[PreparedData], parents: dict[Variant, Checkpoint]
) -> None:
    data = nights[1]
    logits = _scores(inherit(parents[Variant.GMF], data).weights(everything=False), data)
    camp = np.array([int(raw.split()[1]) % 2 if " " in raw else 0 for raw in data.items.raw])
    for user in range(30, 34):
        own = logits[data.users.index(f"u{user}")]
        assert own[camp == user % 2].mean() > own[camp != user % 2].mean() + 1
    premiere = logits[:, data.items.index("premiere")]
    even = np.array([int(raw[1:]) % 2 == 0 for raw in data.users.raw])
    assert premiere[even].mean() > premiere[~even].mean() + 0.5


def test_the_factor_that_stands_for_items_biases_stays_exact_and_new_items_get_a_bias(
    nights: list[PreparedData], parents: dict[Variant, Checkpoint], tmp_path: Path
) -> None:
    start = inherit(parents[Variant.GMF], nights[1]).weights(everything=False)
    assert (start["gmf.user.weight"][:, 0] == 1).all()
    biases = start["gmf.item.weight"][:, 0]
    new = biases[nights[1].items.index("premiere")]
    assert biases.min() - 1 < new < biases.max() + 1
    found = _night(parents[Variant.GMF], nights[1], tmp_path / "c", refit=False)
    assert (found.weights["gmf.user.weight"][:, 0] == 1).all()
    assert (found.weights["output.weight"] == 1).all()


def test_output_weights_move_into_the_users_rows(parents: dict[Variant, Checkpoint]) -> None:
    weights = dict(parents[Variant.GMF].weights)
    weights["output.weight"] = np.linspace(0.5, 2, 6, dtype=np.float32)[None]
    moved = without_output_weights(weights)
    users, items = weights["gmf.user.weight"], weights["gmf.item.weight"]
    np.testing.assert_allclose(
        moved["gmf.user.weight"] @ items.T, (users * weights["output.weight"]) @ items.T, rtol=1e-5
    )


def test_a_mix_is_taken_apart_and_put_together_again(
    nights: list[PreparedData], parents: dict[Variant, Checkpoint]
) -> None:
    parent, data = parents[Variant.NEUMF_PRE], nights[0]
    whole = inherit(parent, data)
    parts = [whole.of(each).weights(everything=False) for each in (Variant.GMF, Variant.MLP)]
    gmf, mlp = (build(replace(parent.architecture, kind=each.kind)) for each in _PARTS)
    for network, weights in zip((gmf, mlp), parts, strict=True):
        network.load_state_dict({name: torch.from_numpy(each) for name, each in weights.items()})
    together = parent.model()
    assert isinstance(together, NeuMF)
    before = {name: each.clone() for name, each in together.state_dict().items()}
    together.start_from(gmf, mlp, parent.manifest.mix or 0)  # type: ignore[arg-type]
    for name, each in together.state_dict().items():
        torch.testing.assert_close(each, before[name])


@pytest.mark.parametrize("variant", [Variant.GMF, Variant.MLP])
def test_both_trainings_are_epochs_from_the_parents_weights(
    variant: Variant,
    nights: list[PreparedData],
    parents: dict[Variant, Checkpoint],
    tmp_path: Path,
) -> None:
    data, parent = nights[1], parents[variant]
    found = _night(parent, data, tmp_path / "c")
    best = found.manifest.validation.best_epoch or 0
    request = _warm(parent, data, tmp_path / "oracle")
    for weights, on, everything in (
        (found.weights, data, False),
        (found.product, data.joined(), True),
    ):
        stage = Stage(replace(request, warm=None), on, {})
        tensors = {
            name: torch.from_numpy(each)
            for name, each in inherit(parent, data).weights(everything=everything).items()
        }
        if isinstance(stage.epochs, SampledEpochs):
            # Pairs that the parent learned are no positives, but no negatives either.
            learned = _slow_pairs(nights[0], "train")
            if everything:
                learned |= _slow_pairs(nights[0], "validation") | _slow_pairs(nights[0], "test")
            new = np.array([pair not in learned for pair in _raw(data, on.train)])
            assert 0 < new.sum() < new.size
            stage.epochs.samples._train = on.train.take(new)
        stage.model.load_state_dict(tensors)
        stage.epochs.average.network.load_state_dict(tensors)
        with report("oracle") as bar:
            for epoch in range(best):
                stage.epochs.train(0, epoch, bar)
        assert weights is not None
        for name, array in stage.weights().items():
            np.testing.assert_array_equal(weights[name], array)


@pytest.mark.parametrize("variant", [Variant.GMF, Variant.NEUMF_PRE])
def test_a_chain_counts_generations_and_keeps_the_rate_of_its_first_night(
    variant: Variant,
    nights: list[PreparedData],
    parents: dict[Variant, Checkpoint],
    tmp_path: Path,
) -> None:
    first = _night(parents[variant], nights[1], tmp_path / "1")
    second = _night(first, nights[2], tmp_path / "2")
    warm = [each.manifest.warm for each in (first, second)]
    assert [each.generation for each in warm if each] == [1, 2]
    assert warm[1] is not None
    assert warm[1].parent == first.digest
    assert dict(warm[1].recipe) == dict(parents[variant].manifest.recipe)
    assert first.manifest.recipe == second.manifest.recipe
    assert warm[1].overlap is not None
    assert 0.2 < warm[1].overlap <= 1
    assert second.product is not None


def test_pairs_that_any_generation_trained_on_are_counted_and_have_no_figures(
    tmp_path: Path, parents: dict[Variant, Checkpoint], nights: list[PreparedData]
) -> None:
    anew = _prepared(tmp_path / "random", _rows(range(34), 2), SplitKind.RANDOM)
    first = _night(parents[Variant.GMF], nights[1], tmp_path / "1", refit=False)
    found = _night(first, anew, tmp_path / "2")
    before = _slow_pairs(nights[0], "train") | _slow_pairs(nights[1], "train")
    before = {pair for pair in before if pair[0] not in _GONE}
    warm, validation = found.manifest.warm, found.manifest.validation
    assert warm is not None
    assert warm.learned_test == len(_slow_pairs(anew, "test") & before) > 0
    assert warm.learned_validation == len(_slow_pairs(anew, "validation") & before) > 0
    assert (validation.hr, validation.ndcg) == (None, None)
    assert validation.best_epoch == found.manifest.recipe["schedule"]["epochs"]  # type: ignore[index]
    with pytest.raises(UsageError, match="test rows were training rows of a model"):
        ncf.evaluate(tmp_path / "2", tmp_path / "random" / "data")
    assert "HR" not in repr(ncf.open_model(tmp_path / "2"))
    publish(Source(found, anew), tmp_path / "store", "ncf")
    manifest = open_bundle(tmp_path / "store" / "ncf").manifest
    assert manifest.metrics.test is None
    assert isinstance(manifest.fold_in, FoldInFacts)
    assert (manifest.fold_in.promise, manifest.fold_in.measured) == ((), False)


def test_a_night_of_later_interactions_has_honest_figures(
    nights: list[PreparedData], parents: dict[Variant, Checkpoint], tmp_path: Path
) -> None:
    found = _night(parents[Variant.MLP], nights[1], tmp_path / "c", refit=False)
    assert found.manifest.warm is not None
    assert (found.manifest.warm.learned_validation, found.manifest.warm.learned_test) == (0, 0)
    assert found.manifest.validation.ndcg
    found.require_honest()
    learned = found.learned()
    assert learned is not None
    pairs = _raw(nights[1], learned.part(everything=False))
    before = {pair for pair in _slow_pairs(nights[0], "train") if pair[0] not in _GONE}
    assert set(pairs) == before | _slow_pairs(nights[1], "train")
    assert len(pairs) == len(set(pairs)) < len(learned.pairs)


def test_resuming_gives_the_same_weights(
    nights: list[PreparedData],
    parents: dict[Variant, Checkpoint],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    three = warm_recipe(parents[Variant.MLP])
    three = three.model_copy(update={"schedule": three.schedule.model_copy(update={"epochs": 3})})
    request = _warm(parents[Variant.MLP], nights[1], tmp_path / "broken", recipe=three)
    whole = train(replace(request, out=tmp_path / "whole"), nights[1])
    passed = iter(range(99))

    def epoch(*arguments: object) -> float:
        if next(passed) == 2:
            raise KeyboardInterrupt
        return train_epoch(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(training, "train_epoch", epoch)
        with pytest.raises(InterruptedWorkError):
            train(request, nights[1])
    assert train(replace(request, resume=True), nights[1]) == whole


def test_what_cannot_start_warm_is_refused(
    nights: list[PreparedData], parents: dict[Variant, Checkpoint], tmp_path: Path
) -> None:
    strange = _prepared(tmp_path / "other", [f"x{n // 5},y{n % 5},{n}" for n in range(60)], _ONCE)
    parent = parents[Variant.GMF]
    with pytest.raises(UsageError, match="trained on none of these users"):
        inherit(parent, strange)
    with pytest.raises(ConfigError, match="interrupted; finish it"):
        inherit(replace(parent, manifest=replace(parent.manifest, finished=False)), nights[1])
    with pytest.raises(ArtifactError, match="made before there were warm starts"):
        inherit(replace(parent, path=tmp_path), nights[1])
    with pytest.raises(UsageError, match="`model` is mlp, and the checkpoint to start from a gmf"):
        warm_recipe_of(parent, "mlp", None, None)
    with pytest.raises(UsageError, match="takes the recipe of its checkpoint"):
        warm_recipe_of(parent, None, "paper", None)
    with pytest.raises(ConfigError, match="gmf_factors is not that of the checkpoint"):
        warm_recipe_of(parent, None, None, {"gmf_factors": 12})
    assert warm_recipe_of(parent, None, None, {"schedule": {"epochs": 7}})[1].schedule.epochs == 7
    found = _night(parent, nights[1], tmp_path / "c", refit=False)
    with pytest.raises(ConfigError, match="train it again with `warm_start`"):
        refit_only(Request(Variant.GMF, warm_recipe(parent), found.path), nights[1])


def test_the_command_does_what_python_does(
    parents: dict[Variant, Checkpoint],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    _prepared(folder, _rows(range(33, 1, -1), 2), _ONCE)
    parent = str(parents[Variant.GMF].path)
    arguments = ["train", "--data", str(folder / "data"), "--warm-start", parent, "--out", "cli"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    python = ncf.train(folder / "data", out="python", warm_start=parent)
    assert python.digest == read_manifest(tmp_path / "cli", CHECKPOINT).digest
    assert "generation 1; 28 users kept, 4 new, 2 dropped; 30 items kept" in result.output
    assert "none: earlier nights trained on" in result.output
    refused = CliRunner().invoke(app, [*arguments[:-1], parent])
    assert refused.exit_code != 0
