from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ncf
from ncf.data.interactions import Interactions
from ncf.errors import ConfigError
from ncf.models.kinds import Variant
from ncf.training.names import Named
from ncf.training.recipe import default_recipe, load_recipe, named_recipe, sparse_history

_SHAPE = {"factors", "gmf_factors", "layers", "dropout"}


def _load(tmp_path: Path, text: str, variant: Variant = Variant.GMF) -> object:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return load_recipe(path, default_recipe(variant))


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    found = _load(tmp_path, "factors = 8\n[schedule]\nepochs = 2\n", Variant.NEUMF_PRE)
    default = default_recipe(Variant.NEUMF_PRE)
    schedule = default.schedule.model_copy(update={"epochs": 2})
    assert found == default.model_copy(update={"factors": 8, "schedule": schedule})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("factor = 8", "'factor'; known: factors"),
        ("[schedule]\nepoch = 3", "'schedule.epoch'; known: optimizer"),
        ("[parents.gmf]\nepoch = 3", "'parents.gmf.epoch'; known: optimizer"),
        ("[parents]\nmixture = 0.3", "'parents.mixture'; known: gmf, mlp, mix"),
        ("factors = 0", "factors = 0"),
        ("factors = '8'", "factors = '8'"),
        ("layers = 6", "layers = 6"),
        ("dropout = 1.0", "dropout = 1.0"),
        ("seed = -1", "seed = -1"),
        ("[schedule]\nlearning_rate = nan", "schedule.learning_rate"),
        ("[schedule]\noptimizer = 'adamw'", "schedule.optimizer"),
        ("schedule = 3", "schedule = 3"),
        ("factors = ", "not TOML"),
    ],
)
def test_unknown_keys_and_bad_values_are_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text)
    assert named in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "recipe.toml"))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_recipe(tmp_path / "none.toml", default_recipe(Variant.GMF))


@pytest.mark.parametrize("name", list(Named))
@pytest.mark.parametrize("variant", list(Variant))
def test_the_toolkits_recipes_can_be_read(name: Named, variant: Variant) -> None:
    recipe = named_recipe(name, variant)
    if variant is Variant.NEUMF_PRE:
        for parent, schedule in (
            (Variant.GMF, recipe.parents.gmf),
            (Variant.MLP, recipe.parents.mlp),
        ):
            alone = named_recipe(name, parent)
            assert alone.schedule == schedule
            # A parent trained alone can be given to neumf-pre.
            assert alone.model_dump(include=_SHAPE) == recipe.model_dump(include=_SHAPE)


@pytest.mark.parametrize("variant", list(Variant))
def test_sparse_data_get_a_wider_gmf_by_default_and_by_no_other_recipe(variant: Variant) -> None:
    dense, sparse = (named_recipe(Named.DEFAULT, variant, each) for each in (None, 9.0))
    assert dense == named_recipe(Named.DEFAULT, variant)
    assert dense.gmf_factors is not None
    assert sparse.gmf_factors == 2 * dense.gmf_factors
    tower = {Variant.MLP: sparse.schedule, Variant.NEUMF_PRE: sparse.parents.mlp}.get(variant)
    assert tower is None or tower.patience == 2
    for name in ("gmf", "mlp"):  # a parent trained alone can be given to neumf-pre
        parent = named_recipe(Named.DEFAULT, Variant(name), 9.0)
        if variant is Variant.NEUMF_PRE:
            assert parent.schedule == getattr(sparse.parents, name)
            assert parent.model_dump(include=_SHAPE) == sparse.model_dump(include=_SHAPE)
    for name in set(Named) - {Named.DEFAULT}:
        assert named_recipe(name, variant, 9.0) == named_recipe(name, variant)


@pytest.mark.parametrize(
    ("users", "items", "pairs", "sparse"),
    [
        (1, 10_001, 400_000, True),
        (1, 10_001, 400_041, False),  # 40 of an item and more
        (1, 10_000, 30_000, False),  # few items
        (289_999, 10_001, 400_000, True),
        (290_000, 10_001, 400_000, False),  # wide rows would take much memory
    ],
)
def test_data_are_sparse_where_many_items_have_few_pairs(
    users: int, items: int, pairs: int, *, sparse: bool
) -> None:
    zeros = np.zeros(pairs, np.int32)
    found = sparse_history(Interactions(zeros, zeros, users, items))
    assert found == (pairs if sparse else None)  # all of one user


def test_l2_is_less_where_users_of_sparse_data_have_longer_histories() -> None:
    def schedules(history: float | None) -> list[float]:
        gmf = named_recipe(Named.DEFAULT, Variant.NEUMF_PRE, history).parents.gmf
        start = named_recipe(Named.DEFAULT, Variant.NEUMF_END, history).schedule.start
        assert start is not None
        assert gmf.blocks == start.blocks
        assert gmf.l2 == start.l2
        assert gmf.blocks is not None
        return [gmf.l2, gmf.blocks.unseen, gmf.blocks.popularity, gmf.patience]

    assert schedules(None) == [0.28, 0.15, 0, 4]
    assert schedules(16.0) == [0.275, 0.07, 0.25, 6]  # 1.1 over the square root of 16
    assert [schedules(each)[0] for each in (1.0, 4.0, 25.0, 400.0)] == [0.5, 0.5, 0.22, 0.2]


def test_the_recipe_of_a_training_or_a_search_is_that_of_its_data(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ncf")
    rng = np.random.default_rng(0)
    users, items = np.repeat(np.arange(900), 24), rng.permutation(21_600) % 10_800
    frame = pd.DataFrame({"user_id": users, "item_id": items})
    data = ncf.prepare(frame, split="random", out=tmp_path / "data")
    quick = {"schedule": {"epochs": 1}}
    found = ncf.train(data, "gmf", out=tmp_path / "wide", config=quick, refit=False)
    assert found.checkpoint.architecture.gmf_width == 256
    assert "sparse data: a GMF of 256 factors" in caplog.text
    caplog.clear()
    given = {**quick, "gmf_factors": 8}
    found = ncf.train(data, "gmf", out=tmp_path / "own", config=given, refit=False)
    assert found.checkpoint.architecture.gmf_width == 8
    assert "sparse data" not in caplog.text
    ncf.tune(data, "gmf", out=tmp_path / "t.toml", config=quick, trials=1)
    found_recipe = (tmp_path / "t.toml").read_text()
    assert "gmf_factors = 256" in found_recipe
    per_user = len(data.prepared.train) / 900
    assert f"l2 = {round(1.1 / per_user**0.5, 4)}\n" in found_recipe


def test_the_tutorials_recipe_is_the_tutorials() -> None:
    recipe = named_recipe(Named.TUTORIAL, Variant.NEUMF_END)
    schedule = recipe.schedule
    assert (recipe.factors, recipe.layers, schedule.negatives, schedule.batch_size) == (
        32,
        3,
        4,
        256,
    )
    assert (schedule.learning_rate, schedule.l2, schedule.averaging) == (0.001, 0, 0)
