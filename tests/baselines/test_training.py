"""Simple models through the front door: trained, measured, compared, exported like networks."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file, save_file

import ncf
from ncf.artifacts import seal
from ncf.baselines.names import Baseline
from ncf.cli.train import Name
from ncf.data.prepared import PreparedData
from ncf.errors import ArtifactError, CapabilityError, ConfigError, InterruptedWorkError, UsageError
from ncf.models.kinds import Variant
from ncf.training import baselines
from ncf.training.baseline_fits import Fits
from ncf.training.manifest import CHECKPOINT
from tests.commands import refused


@pytest.fixture(scope="module")
def trained(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ncf.Model]:
    folder = tmp_path_factory.mktemp("simple")
    quick = {"ials": {"factors": 4, "sweeps": 4}}
    return {
        name: ncf.train(data_folder, name, out=folder / name, config=quick.get(name))
        for name in Baseline
    }


def test_the_command_offers_every_model() -> None:
    assert set(get_args(Name)) == {*Variant, *Baseline}


def test_each_learns_the_two_camps(trained: dict[str, ncf.Model], data_folder: Path) -> None:
    found = {
        name: ncf.evaluate(model, data_folder, protocol="sampled", k=5).frame().hr[0]
        for name, model in trained.items()
    }
    assert min(found["item-knn"], found["ease"], found["ials"]) > 0.8
    assert found["popular"] < 0.8


def test_figures_are_those_of_plain_numpy(
    trained: dict[str, ncf.Model], data: PreparedData, data_folder: Path
) -> None:
    x = data.train.csr().toarray().astype(np.float64)
    seen = x + data.validation.positives.csr().toarray()
    l2 = float(trained["ease"].figures["settings"]["l2"])
    inverse = np.linalg.inv(x.T @ x + l2 * np.eye(x.shape[1]))
    scores = {"ease": x @ (np.eye(x.shape[1]) - inverse / np.diag(inverse))}
    scores["popular"] = np.tile(x.sum(axis=0), (len(x), 1))
    weights = load_file(trained["ials"].path / "model.safetensors")
    rows = {name: each.astype(np.float64) for name, each in weights.items()}
    scores["ials"] = rows["gmf.user.weight"] @ rows["gmf.item.weight"].T
    test = dict(
        zip(data.test.positives.users.tolist(), data.test.positives.items.tolist(), strict=True)
    )
    for name, of_all in scores.items():
        ranks = []
        for user, item in test.items():
            order = np.lexsort((np.arange(x.shape[1]), -of_all[user].round(6)))
            ranks.append([i for i in order.tolist() if not seen[user, i]].index(item))
        found = ncf.evaluate(trained[name], data_folder, protocol="full", k=5).frame()
        gains = [1 / np.log2(rank + 2) if rank < 5 else 0.0 for rank in ranks]
        assert found.hr[0] == pytest.approx(np.mean([rank < 5 for rank in ranks]), abs=1e-3)
        assert found.ndcg[0] == pytest.approx(np.mean(gains), abs=1e-3)


def test_the_checkpoint_says_what_was_tried_and_the_best_is_kept(
    trained: dict[str, ncf.Model],
) -> None:
    manifest = json.loads((trained["item-knn"].path / "config.json").read_bytes())
    assert len(manifest["tried"]) > 3
    assert manifest["validation"]["ndcg"] == max(each["ndcg"] for each in manifest["tried"])
    best = max(manifest["tried"], key=lambda each: each["ndcg"])["settings"]
    assert {name: manifest["recipe"][name] for name in best} == best
    frame = trained["ials"].frame()
    assert frame.epoch.tolist() == list(range(1, len(frame) + 1))
    assert frame.ndcg.max() == trained["ials"].figures["ndcg"]


@pytest.mark.parametrize("name", ["ials", "popular"])
def test_rows_are_exported_from_everything_and_batched(
    name: str,
    trained: dict[str, ncf.Model],
    data: PreparedData,
    data_folder: Path,
    tmp_path: Path,
) -> None:
    model = trained[name]
    bundle = ncf.export(model, data_folder, out=tmp_path / "store", name=name)
    table = ncf.batch(bundle, out=tmp_path / "topk", k=3).frame()
    weights = load_file(model.path / "product.safetensors")
    scores = weights["gmf.user.weight"] @ weights["gmf.item.weight"].T
    everything = data.interactions().csr().toarray() > 0
    scores[everything] = -np.inf
    items = np.array(data.items.raw)
    for user, rows in table.groupby("user_id"):
        row = scores[data.users.raw.index(str(user))]
        assert rows.score.tolist() == pytest.approx(np.sort(row)[:-4:-1].tolist(), abs=1e-5)
        assert set(rows.item_id) <= set(items[~everything[data.users.raw.index(str(user))]])
    assert json.loads((bundle.path / "bundle.json").read_bytes())["provenance"]["variant"] == name


@pytest.mark.parametrize("name", ["ease", "item-knn"])
def test_item_item_models_say_why_they_are_not_exported(
    name: str, trained: dict[str, ncf.Model], data_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"has no row for a user.*; export a network, ials"):
        ncf.export(trained[name], data_folder, out=tmp_path)
    with pytest.raises(UsageError, match="has no row for a user"):
        ncf.export_triton(trained[name], data_folder, out=tmp_path)
    with pytest.raises(UsageError, match=f"{name} is no network"):
        ncf.train(data_folder, out=tmp_path / "warm", warm_start=trained[name])


def test_a_factorisation_is_no_parent_of_a_neumf(
    trained: dict[str, ncf.Model], data_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="parent is ials, not gmf"):
        ncf.train(data_folder, "neumf-pre", out=tmp_path / "x", gmf=trained["ials"])


def test_ease_that_does_not_fit_into_memory_is_refused_before_it_is_tried(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = psutil.virtual_memory()._replace(available=10_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr("ncf.training.baseline_fits.item_gram", lambda _: pytest.fail("tried"))
    with pytest.raises(CapabilityError, match=r"EASE needs .* GiB for a matrix of 30 x 30 items"):
        ncf.train(data_folder, "ease", out=tmp_path / "ease")
    assert not (tmp_path / "ease").exists()


def test_fixed_settings_are_not_chosen(data_folder: Path, tmp_path: Path) -> None:
    model = ncf.train(data_folder, "ease", out=tmp_path / "ease", config={"l2": 7})
    assert (model.figures["settings"]["l2"], model.figures["tried"]) == (7, 1)
    digest = model.digest
    (tmp_path / "l2.toml").write_text("l2 = 7\n")
    again = ncf.train(
        data_folder, "ease", out=tmp_path / "ease", config=tmp_path / "l2.toml", resume=True
    )
    assert again.digest == digest
    chosen = ncf.train(data_folder, "ease", out=tmp_path / "ease", resume=True)
    assert chosen.figures["tried"] > 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"l3": 1}, r"unknown key 'l3' of ease; known: l2"),
        ({"l2": "x"}, r"l2 = 'x' is not a number"),
        ({"l2": -1}, r"l2 = -1 is not a number from"),
    ],
)
def test_settings_are_checked(
    config: dict[str, object], message: str, data_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        ncf.train(data_folder, "ease", out=tmp_path / "ease", config=config)


def test_options_of_networks_are_refused(data_folder: Path, tmp_path: Path) -> None:
    words = ["train", "--data", str(data_folder), "--model", "ease", "--out", "ease"]
    line = refused(*words, "--recipe", "paper", cwd=tmp_path)
    assert "--recipe, --gmf, --mlp" in line
    assert "do not apply to --model ease" in line
    with pytest.raises(UsageError, match="by one process on the CPU"):
        ncf.train(data_folder, "ials", out=tmp_path / "x", device="cuda")


def test_an_interrupted_training_writes_nothing(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(baselines, "climb", interrupted)
    with pytest.raises(InterruptedWorkError, match="nothing was written"):
        ncf.train(data_folder, "item-knn", out=tmp_path / "knn")
    assert not (tmp_path / "knn").exists()


def test_neighbours_that_are_no_items_are_refused(
    trained: dict[str, ncf.Model], tmp_path: Path
) -> None:
    for path in trained["item-knn"].path.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    arrays = load_file(tmp_path / "model.safetensors")
    arrays["item_item.neighbour"][0, 0] = 30
    save_file(arrays, tmp_path / "model.safetensors")
    document = json.loads((tmp_path / "config.json").read_bytes())
    for key in ("digest", "files", "schema_version"):
        del document[key]
    seal(tmp_path, CHECKPOINT, document)
    with pytest.raises(ArtifactError, match="neighbours are no indices of items"):
        ncf.open_model(tmp_path)


def test_settings_of_ials_that_stay_far_behind_are_given_up(data: PreparedData) -> None:
    usual = {"unseen": 0.2, "l2": 0.006, "factors": 4, "exponent": 1.0, "sweeps": 9, "seed": 0}
    bad = {**usual, "factors": 1}
    alone = Fits(Baseline.IALS, data).fit(bad).history
    fits = Fits(Baseline.IALS, data)
    best = fits.fit(usual)
    after = fits.fit(bad)
    assert after.ndcg < 0.9 * best.ndcg
    assert len(alone) > 3
    assert [each.ndcg for each in after.history] == [each.ndcg for each in alone[:3]]
    again = fits.fit(usual)
    assert [each.ndcg for each in again.history] == [each.ndcg for each in best.history]
