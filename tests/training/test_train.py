import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from ncf.data.interactions import Interactions
from ncf.data.prepared import PreparedData
from ncf.errors import ArtifactError, ConfigError, InterruptedWorkError, UsageError
from ncf.evaluation.protocols import sampled
from ncf.models.kinds import Variant
from ncf.models.networks import Network
from ncf.models.scorer import group_scorer, scorer
from ncf.training import optimizers
from ncf.training import sampled_epochs as training
from ncf.training.average import Average
from ncf.training.checkpoint import open_checkpoint, weights_of
from ncf.training.epoch import Batch, Samples, train_epoch
from ncf.training.history import load_history
from ncf.training.mix import best_mix
from ncf.training.optimizers import Optimizers
from ncf.training.ranks import ALONE
from ncf.training.recipe import Parents, Recipe
from ncf.training.request import ParentFolders, Request
from ncf.training.sampled_epochs import SampledEpochs
from ncf.training.schedule import Schedule
from ncf.training.stage import Stage
from ncf.training.train import train

if TYPE_CHECKING:
    from ncf.models.weights import Weights

_CPU = torch.device("cpu")
_NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
QUICK = Recipe(
    factors=4,
    layers=2,
    schedule=Schedule(learning_rate=0.02, batch_size=64, epochs=4, patience=4),
    parents=Parents(
        gmf=Schedule(learning_rate=0.02, batch_size=64, epochs=3),
        mlp=Schedule(learning_rate=0.02, batch_size=64, epochs=3),
    ),
)


def _weights(folder: Path) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in open_checkpoint(folder).weights.items()}


def _interrupt_after(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    """Let so many epochs pass, and press Ctrl-C in the middle of the next."""
    passed = iter(range(10**6))

    def epoch(*arguments: object) -> float:
        loss = train_epoch(*arguments)  # type: ignore[arg-type]
        if next(passed) >= epochs:
            raise KeyboardInterrupt
        return loss

    monkeypatch.setattr(training, "train_epoch", epoch)


@pytest.mark.parametrize("variant", list(Variant))
def test_every_variant_learns_the_two_camps(
    variant: Variant, data: PreparedData, tmp_path: Path
) -> None:
    recipe = QUICK.model_copy(
        update={"schedule": QUICK.schedule.model_copy(update={"epochs": 40, "patience": 40})}
    )
    if variant is Variant.NEUMF_PRE:
        parents = Parents(gmf=recipe.schedule, mlp=recipe.schedule)
        recipe = recipe.model_copy(update={"parents": parents})
    train(Request(variant, recipe, tmp_path / "c"), data)
    trained = open_checkpoint(tmp_path / "c")
    score = scorer(trained.model())
    users, items = np.repeat(np.arange(40), 30), np.tile(np.arange(30), 40)
    own = np.array([int(raw[1:]) % 2 for raw in data.users.raw])[users]
    film = np.array([int(raw[5:]) % 2 for raw in data.items.raw])[items]
    logits = score(users, items)
    assert logits[own == film].mean() > logits[own != film].mean() + 1
    # A test positive has a dozen rivals, most of them of the other camp.
    assert sampled(group_scorer(trained.model()), data.test, 5).hr > 0.8


@pytest.mark.parametrize("variant", [Variant.NEUMF_END, Variant.NEUMF_PRE])
@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_resuming_ends_with_the_weights_of_an_uninterrupted_training(
    variant: Variant,
    epochs: int,
    data: PreparedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    schedule = QUICK.schedule.model_copy(update={"averaging": 0.5, "l2": 1e-4})
    recipe = QUICK.model_copy(update={"dropout": 0.2, "schedule": schedule})
    train(Request(variant, recipe, tmp_path / "whole"), data)
    with monkeypatch.context() as patch:
        _interrupt_after(patch, epochs)
        with pytest.raises(InterruptedWorkError):
            train(Request(variant, recipe, tmp_path / "broken"), data)
    train(Request(variant, recipe, tmp_path / "broken", resume=True), data)
    assert _weights(tmp_path / "whole") == _weights(tmp_path / "broken")
    digests = [open_checkpoint(tmp_path / name).digest for name in ("whole", "broken")]
    assert digests[0] == digests[1]


def test_ctrl_c_leaves_the_best_checkpoint_so_far(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt_after(monkeypatch, 2)
    with pytest.raises(InterruptedWorkError, match=r"best epoch .* of 2; go on with `resume=True`"):
        train(Request(Variant.GMF, QUICK, tmp_path / "c"), data)
    history = load_history(tmp_path / "c")
    assert len(history) == 2
    best = max(history, key=lambda row: (row.ndcg, -row.epoch))
    assert open_checkpoint(tmp_path / "c").manifest.validation.best_epoch == best.epoch


def test_ctrl_c_before_the_first_epoch_leaves_the_old_checkpoint(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(Request(Variant.GMF, QUICK, tmp_path / "c"), data)
    before = _weights(tmp_path / "c")
    _interrupt_after(monkeypatch, 0)
    other = QUICK.model_copy(update={"seed": 5})
    with pytest.raises(InterruptedWorkError, match="before the first epoch"):
        train(Request(Variant.GMF, other, tmp_path / "c"), data)
    assert _weights(tmp_path / "c") == before


_ENDLESS = """
import sys
from pathlib import Path
from ncf.data.prepared import open_data
from ncf.models.kinds import Variant
from ncf.training.optimizers import Optimizers
from ncf.training.ranks import ALONE
from ncf.training.recipe import Parents, Recipe
from ncf.training.schedule import Schedule
from ncf.training.request import Request
from ncf.training.train import train
import torch; torch.set_num_threads(1)
schedule = Schedule(learning_rate=0.02, batch_size=64, epochs=int(sys.argv[3]), patience=10**6)
recipe = Recipe(factors=4, layers=2, schedule=schedule)
train(Request(Variant.MLP, recipe, Path(sys.argv[2]), True), open_data(Path(sys.argv[1])))
"""


def test_a_training_killed_at_any_moment_goes_on_to_the_same_weights(
    data_folder: Path, tmp_path: Path
) -> None:
    def command(out: str) -> list[str]:
        return [sys.executable, "-c", _ENDLESS, str(data_folder), str(tmp_path / out), "60"]

    subprocess.run(command("whole"), check=True)
    state = tmp_path / ".broken.work" / "state" / "state.json"
    for _ in range(2):
        with subprocess.Popen(command("broken")) as process:
            seen = state.stat().st_mtime_ns if state.exists() else 0
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and process.poll() is None:
                with contextlib.suppress(FileNotFoundError):
                    if state.stat().st_mtime_ns > seen:
                        break
                time.sleep(0.001)
            os.kill(process.pid, signal.SIGKILL)
        assert not (tmp_path / "broken").exists()
    subprocess.run(command("broken"), check=True)
    assert _weights(tmp_path / "whole") == _weights(tmp_path / "broken")
    assert [path.name for path in tmp_path.glob(".broken*")] == [".broken.lock"]


def test_resuming_a_finished_training_trains_nothing(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(Request(Variant.GMF, QUICK, tmp_path / "c"), data)
    monkeypatch.setattr(training, "train_epoch", None)
    assert train(Request(Variant.GMF, QUICK, tmp_path / "c", resume=True), data) == first


def test_resuming_heals_a_damaged_or_an_unfinished_checkpoint(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(Request(Variant.GMF, QUICK, tmp_path / "c"), data)
    expected = _weights(tmp_path / "c")
    (tmp_path / "c" / "model.safetensors").write_bytes(b"x")
    train(Request(Variant.GMF, QUICK, tmp_path / "c", resume=True), data)
    assert _weights(tmp_path / "c") == expected
    with monkeypatch.context() as patch:
        _interrupt_after(patch, 1)
        with pytest.raises(InterruptedWorkError):
            train(Request(Variant.GMF, QUICK, tmp_path / "c"), data)
    shutil.rmtree(tmp_path / ".c.work")
    train(Request(Variant.GMF, QUICK, tmp_path / "c", resume=True), data)
    assert _weights(tmp_path / "c") == expected


def test_a_training_that_diverges_says_so_and_keeps_the_best_epoch(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = QUICK.schedule.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(ConfigError, match="before the first epoch ended; lower learning_rate"):
        train(
            Request(Variant.GMF, QUICK.model_copy(update={"schedule": wild}), tmp_path / "w"), data
        )
    assert not (tmp_path / "w").exists()
    losses = iter([0.6, 0.5, float("nan")])
    monkeypatch.setattr(training, "train_epoch", lambda *a: next(losses) + 0 * train_epoch(*a))
    with pytest.raises(ConfigError, match=r"holds the best epoch .* of 2; lower learning_rate"):
        train(Request(Variant.GMF, QUICK, tmp_path / "c"), data)
    assert len(load_history(tmp_path / "c")) == 2


def test_a_parent_is_never_replaced_by_its_child(data: PreparedData, tmp_path: Path) -> None:
    train(Request(Variant.GMF, QUICK, tmp_path / "c"), data)
    parents = ParentFolders(gmf=tmp_path / "c")
    with pytest.raises(UsageError, match="one of the parents"):
        train(Request(Variant.NEUMF_PRE, QUICK, tmp_path / "c", parents=parents), data)


def test_resuming_with_another_recipe_is_refused(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _interrupt_after(patch, 1)
        with pytest.raises(InterruptedWorkError):
            train(Request(Variant.GMF, QUICK, tmp_path / "c"), data)
    schedule = QUICK.schedule.model_copy(update={"negatives": 2})
    other = QUICK.model_copy(update={"schedule": schedule})
    with pytest.raises(ConfigError, match="another recipe"):
        train(Request(Variant.GMF, other, tmp_path / "c", resume=True), data)


def test_training_stops_when_validation_no_longer_improves(
    data: PreparedData, tmp_path: Path
) -> None:
    schedule = Schedule(learning_rate=1e-9, epochs=50, patience=3)
    recipe = QUICK.model_copy(update={"schedule": schedule})
    train(Request(Variant.GMF, recipe, tmp_path / "c"), data)
    assert len(load_history(tmp_path / "c")) < 50


def test_neumf_pre_takes_given_parents_and_never_ends_below_their_mix(
    data: PreparedData, tmp_path: Path
) -> None:
    parents = {}
    for variant in (Variant.GMF, Variant.MLP):
        train(Request(variant, QUICK, tmp_path / variant.value), data)
        parents[variant.value] = tmp_path / variant.value
    request = Request(Variant.NEUMF_PRE, QUICK, tmp_path / "pre", parents=ParentFolders(**parents))
    train(request, data)
    manifest = open_checkpoint(tmp_path / "pre").manifest
    for name, path in parents.items():
        assert manifest.parents[name] == open_checkpoint(path).digest
    history = load_history(tmp_path / "pre")
    assert history[0].loss is None
    assert manifest.validation.ndcg is not None
    assert manifest.validation.ndcg >= history[0].ndcg


def test_a_parent_of_other_sizes_or_data_is_refused(data: PreparedData, tmp_path: Path) -> None:
    small = QUICK.model_copy(update={"factors": 3})
    train(Request(Variant.GMF, small, tmp_path / "gmf"), data)
    parents = ParentFolders(gmf=tmp_path / "gmf")
    with pytest.raises(ConfigError, match="3 factors"):
        train(Request(Variant.NEUMF_PRE, QUICK, tmp_path / "pre", parents=parents), data)
    other = replace(data, manifest=replace(data.manifest, digest="0" * 64))
    with pytest.raises(ArtifactError, match="000000000000"):
        train(
            Request(Variant.NEUMF_PRE, small, tmp_path / "pre", parents=parents),
            other,
        )


def test_the_checkpoint_holds_the_average_over_the_newest_part(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[float, float, Weights]] = []

    def watched(average: Average, network: Network, since: float, now: float) -> None:
        taken.append((since, now, weights_of(network)))
        take(average, network, since, now)

    take = Average.take
    monkeypatch.setattr(Average, "take", watched)
    schedule = QUICK.schedule.model_copy(
        update={"averaging": 0.3, "epochs": 3, "patience": 3, "batch_size": 8}
    )
    recipe = QUICK.model_copy(update={"schedule": schedule})
    train(Request(Variant.GMF, recipe, tmp_path / "c"), data)
    # The spans follow each other, several in each epoch.
    assert [since for since, *_ in taken] == [0, *(now for _, now, _ in taken[:-1])]
    ends = [number for number, (_, now, _) in enumerate(taken) if now in {1, 2, 3}]
    assert len(ends) == 3
    assert min(np.diff([-1, *ends])) > 4
    trained = open_checkpoint(tmp_path / "c")
    best_epoch = trained.manifest.validation.best_epoch
    assert best_epoch is not None
    best = ends[best_epoch - 1]
    spans = taken[: best + 1]
    shares = [now ** (1 / 0.3) - since ** (1 / 0.3) for since, now, _ in spans]
    for name, array in trained.weights.items():
        arrays = [weights[name].astype(np.float64) for *_, weights in spans]
        expected = np.average(arrays, axis=0, weights=shares)
        np.testing.assert_allclose(array, expected, atol=1e-6)


def test_l2_rises_over_its_warmup(data: PreparedData, tmp_path: Path) -> None:
    schedule = QUICK.schedule.model_copy(update={"l2": 10.0, "l2_warmup": 2.0})
    recipe = QUICK.model_copy(update={"schedule": schedule})
    sampled_epochs = Stage(Request(Variant.NEUMF_END, recipe, tmp_path / "c"), data, {}).epochs
    assert isinstance(sampled_epochs, SampledEpochs)
    learner = sampled_epochs.learner
    batch = Batch(torch.tensor([0, 1]), torch.tensor([[1, 2, 3], [0, 4, 5]]))
    added = []
    for epochs in (0.0, 0.5, 1.0, 2.0, 7.5):
        entropy, loss = learner.loss(batch, epochs)
        added.append((loss - entropy).item())
    assert added[-1] > 0
    np.testing.assert_allclose(np.array(added) / added[-1], [0, 0.25, 0.5, 1, 1], atol=1e-3)


def test_a_long_warmup_of_l2_leaves_training_as_without(data: PreparedData, tmp_path: Path) -> None:
    found = {}
    for name, l2, warmup in (("none", 0.0, 0.0), ("slow", 0.1, 1e7), ("at once", 0.1, 0.0)):
        schedule = QUICK.schedule.model_copy(update={"l2": l2, "l2_warmup": warmup, "epochs": 1})
        recipe = QUICK.model_copy(update={"schedule": schedule})
        train(Request(Variant.GMF, recipe, tmp_path / name), data)
        found[name] = open_checkpoint(tmp_path / name).weights["gmf.user.weight"]
    np.testing.assert_allclose(found["slow"], found["none"], atol=1e-4)
    assert np.abs(found["at once"] - found["none"]).max() > 1e-3


def test_the_test_part_never_touches_the_weights(data: PreparedData, tmp_path: Path) -> None:
    train(Request(Variant.GMF, QUICK, tmp_path / "with"), data)
    nothing = data.test.positives.take(np.zeros(len(data.test.positives), np.bool_))
    without = PreparedData(
        data.users,
        data.items,
        data.train,
        data.validation,
        type(data.test)(nothing, data.test.negatives[:0]),
        data.manifest,
    )
    train(Request(Variant.GMF, QUICK, tmp_path / "without"), without)
    assert _weights(tmp_path / "with") == _weights(tmp_path / "without")


def test_data_without_a_validation_case_is_refused(data: PreparedData, tmp_path: Path) -> None:
    nothing = data.validation.positives.take(np.zeros(len(data.validation.positives), np.bool_))
    cases = type(data.test)(nothing, data.test.negatives[:0])
    broken = PreparedData(data.users, data.items, data.train, cases, data.test, data.manifest)
    with pytest.raises(UsageError, match="validation"):
        train(Request(Variant.GMF, QUICK, tmp_path / "c"), broken)


def test_every_epoch_draws_fresh_negatives_and_no_known_positive() -> None:
    owners = np.array([0, 0, 1, *[2] * 12], np.int32)
    pairs = Interactions(owners, np.array([0, 1, 2, *range(12)], np.int32), 3, 12)
    samples = Samples(pairs, 4, 10, _CPU, ALONE)
    known = set(zip(pairs.users.tolist(), pairs.items.tolist(), strict=True))
    drawn = []
    for epoch in range(3):
        negatives: list[tuple[int, int]] = []
        positives: list[tuple[int, int]] = []
        for users, items in samples.batches(0, epoch):
            assert users.shape == (len(items),)
            assert len(users) <= 2
            for user, (positive, *others) in zip(users.tolist(), items.tolist(), strict=True):
                positives.append((user, positive))
                negatives += [(user, item) for item in others]
        # User 2 saw everything: no negative, and no share; the others get four a positive.
        assert sorted(positives) == sorted(pair for pair in known if pair[0] != 2)
        assert not set(negatives) & known
        assert [sum(u == user for u, _ in negatives) for user in range(3)] == [8, 4, 0]
        drawn.append(negatives)
    assert sorted(drawn[0]) != sorted(drawn[1])


def test_users_who_all_saw_everything_are_an_error_and_not_a_hang() -> None:
    pairs = Interactions(np.zeros(2, np.int32), np.arange(2, dtype=np.int32), 1, 2)
    with pytest.raises(UsageError, match="unseen item"):
        Samples(pairs, 4, 256, _CPU, ALONE)


def test_tables_trained_row_by_row_resume_and_learn_as_others(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Few enough samples a step that both tables are larger.
    schedule = QUICK.schedule.model_copy(update={"batch_size": 25, "l2": 0.01})
    quick = QUICK.model_copy(update={"schedule": schedule})
    schedule = schedule.model_copy(update={"epochs": 1, "learning_rate": 0.002})
    short = QUICK.model_copy(update={"schedule": schedule})
    train(Request(Variant.NEUMF_END, short, tmp_path / "dense"), data)
    monkeypatch.setattr(optimizers, "_SPARSE_FROM", 1)
    train(Request(Variant.NEUMF_END, short, tmp_path / "by-row"), data)
    dense, by_row = (open_checkpoint(tmp_path / name).weights for name in ("dense", "by-row"))
    for name, array in dense.items():
        np.testing.assert_allclose(array, by_row[name], atol=1e-4)
    train(Request(Variant.NEUMF_END, quick, tmp_path / "whole"), data)
    with monkeypatch.context() as patch:
        _interrupt_after(patch, 2)
        with pytest.raises(InterruptedWorkError):
            train(Request(Variant.NEUMF_END, quick, tmp_path / "broken"), data)
    train(Request(Variant.NEUMF_END, quick, tmp_path / "broken", resume=True), data)
    assert _weights(tmp_path / "whole") == _weights(tmp_path / "broken")


def test_the_learning_rate_decays_and_starts_anew_with_parents(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    monkeypatch.setattr(Optimizers, "set_rate", lambda _, rate: rates.append(rate))
    schedule = QUICK.schedule.model_copy(update={"decay": 0.5, "epochs": 3})
    recipe = QUICK.model_copy(update={"schedule": schedule})
    train(Request(Variant.NEUMF_PRE, recipe, tmp_path / "c"), data)
    assert rates[-3:] == [0.02, 0.01, 0.005]


@pytest.mark.parametrize(
    ("device", "amp"),
    [
        ("cpu", True),
        pytest.param("cuda", False, marks=_NEEDS_CUDA),
        pytest.param("cuda", True, marks=_NEEDS_CUDA),
    ],
)
def test_other_arithmetic_learns_as_well(
    device: str, *, amp: bool, data: PreparedData, tmp_path: Path
) -> None:
    schedule = QUICK.schedule.model_copy(update={"epochs": 20, "patience": 20})
    recipe = QUICK.model_copy(update={"schedule": schedule})
    plain = train(Request(Variant.NEUMF_END, recipe, tmp_path / "plain"), data)
    request = Request(Variant.NEUMF_END, recipe, tmp_path / "other", device=device, amp=amp)
    assert train(request, data)["hr"] > plain["hr"] - 0.1
    assert _weights(tmp_path / "plain") != _weights(tmp_path / "other"), "it was not used"
    for array in open_checkpoint(tmp_path / "other").weights.values():
        assert array.dtype == np.float32


@pytest.mark.parametrize(
    ("alone", "chosen"),
    [
        (0.499, 0.7),  # a mix is best
        (0.504, 0.7),  # nobody can tell: two networks vary less than one
        (0.520, 1.0),  # the tower only disturbs
    ],
)
def test_a_tower_that_only_disturbs_is_left_out_of_the_mix(alone: float, chosen: float) -> None:
    def worth(shares: Sequence[float]) -> list[float]:
        return [alone if share == 1 else 0.5 - abs(share - 0.7) for share in shares]

    assert best_mix(worth) == chosen
