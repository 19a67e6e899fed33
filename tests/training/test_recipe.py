from pathlib import Path

import pytest

from ncf.errors import ConfigError
from ncf.models.kinds import Variant
from ncf.training.names import Named
from ncf.training.recipe import default_recipe, load_recipe, named_recipe

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
