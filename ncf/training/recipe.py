"""How to train: what a recipe says, those that come with the toolkit, and recipes from files."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ncf.errors import ConfigError
from ncf.models.kinds import Variant
from ncf.training.names import Named


class Schedule(BaseModel):
    """How one network is trained.

    Parameters
    ----------
    optimizer : {"adam", "sgd"}
        Adam (Kingma and Ba, 2015) or plain stochastic gradient descent.
    learning_rate : float
        Step size, above 0.
    decay : float
        Factor on the learning rate after each epoch, in (0, 1].
    batch_size : int
        Samples a step, positives and negatives together.
    negatives : int
        Drawn for each training pair, anew each epoch.
    l2 : float
        Weight, at least 0, of squared embeddings in the loss: over positives, the mean of
        ``|p_u|^2 + |q_i|^2 + mean(|q_j|^2)``, j its negatives. Users and items are held back as
        often as they are met, as by Rendle et al., "Neural collaborative filtering vs. matrix
        factorization revisited", RecSys 2020.
    l2_warmup : float
        Epochs, at least 0, in which the weight of L2 rises from 0: embeddings start near zero,
        where it would only slow them down.
    averaging : float
        Validation and the checkpoint take the weights averaged over about the newest share of
        the training so far, in [0, 1]; 0 takes them as they are. See :class:`Average`.
    epochs : int
        At most so many.
    patience : int
        Stop after so many epochs without a better validation NDCG@10.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(default=0.001, gt=0, allow_inf_nan=False)
    decay: float = Field(default=1.0, gt=0, le=1)
    batch_size: int = Field(default=256, ge=1, le=2**24)
    negatives: int = Field(default=4, ge=1, le=1000)
    l2: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    l2_warmup: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    averaging: float = Field(default=0.0, ge=0, le=1)
    epochs: int = Field(default=20, ge=1, le=10**6)
    patience: int = Field(default=5, ge=1, le=10**6)


class Parents(BaseModel):
    """How ``neumf-pre`` trains its GMF and its MLP, and what share of each it starts from.

    Parameters
    ----------
    gmf, mlp : Schedule
        Of each parent.
    mix : float or None
        Weight of the GMF parent's output layer, in [0, 1], the MLP's being the rest (He et al.,
        eq. 13); None takes the best of nine on validation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    gmf: Schedule = Schedule()
    mlp: Schedule = Schedule()
    mix: float | None = Field(default=None, ge=0, le=1)


class Recipe(BaseModel):
    """Everything that decides the weights, besides the data and the machine.

    Parameters
    ----------
    factors : int
        Predictive factors: width of the last layer of the MLP branch.
    gmf_factors : int or None
        Predictive factors of the GMF branch; None: as many.
    layers : int
        Layers of the MLP tower, 1 to 5.
    dropout : float
        Before each tower layer, in [0, 1). Of a batch, a user's embedding and an item's lose the
        same inputs wherever they meet.
    seed : int
        All random choices follow from it.
    schedule : Schedule
        How the variant itself is trained.
    parents : Parents
        For ``neumf-pre``; of no effect elsewhere.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    factors: int = Field(default=32, ge=1, le=4096)
    gmf_factors: int | None = Field(default=None, ge=1, le=4096)
    layers: int = Field(default=3, ge=1, le=5)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    schedule: Schedule = Schedule()
    parents: Parents = Parents()


def named_recipe(name: Named, variant: Variant) -> Recipe:
    """Read a recipe that comes with the toolkit, ``recipes/NAME.toml``, for a variant.

    A table there names a variant; ``neumf-pre`` trains its parents as those tables say.
    """
    given = recipe_tables(name.value, variant)
    if variant is Variant.NEUMF_PRE:
        parents = {
            parent.value: recipe_tables(name.value, parent)["schedule"]
            for parent in (Variant.GMF, Variant.MLP)
        }
        given = merge({"parents": parents}, given)
    return parse_recipe(given, f"{name.value}.toml")


def recipe_tables(name: str, variant: Variant) -> dict[str, Any]:
    """Read what ``recipes/NAME.toml`` says of a variant: its table over what is said of all."""
    path = files("ncf.training") / "recipes" / f"{name}.toml"
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    of_all = {key: each for key, each in tables.items() if key not in set(Variant)}
    return merge(of_all, tables.get(variant.value, {}))


def default_recipe(variant: Variant) -> Recipe:
    """Recipe of a variant where nothing else is asked for."""
    return named_recipe(Named.DEFAULT, variant)


def load_recipe(path: Path, base: Recipe) -> Recipe:
    """Read a TOML file over a recipe.

    Raises
    ------
    ConfigError
        The file is missing, is not TOML, or has an unknown key or a value out of range.
    """
    return parse_recipe(merge(base.model_dump(), read_toml(path)), path)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file of a user's.

    Raises
    ------
    ConfigError
        The file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError("no such file", where=path) from error
    except (ValueError, RecursionError) as error:  # TOML or UTF-8 or a number beyond all bounds
        raise ConfigError(f"not TOML ({error})", where=path) from error


def parse_recipe(document: dict[str, Any], where: object) -> Recipe:
    """Check a recipe read from somewhere.

    Raises
    ------
    ConfigError
        A key is unknown or a value out of range; the message names it.
    """
    try:
        return Recipe.model_validate(document, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(_fields(first["loc"][:-1]))
            raise ConfigError(
                f"unknown key {key!r}", where=where, remedy=f"known: {known}"
            ) from None
        raise ConfigError(f"{key} = {first['input']!r}: {first['msg']}", where=where) from None


def _fields(path: tuple[int | str, ...]) -> list[str]:
    """Names of the keys of the table at a path."""
    table: type[BaseModel] = Recipe
    for part in path:
        annotation = table.model_fields[str(part)].annotation
        table = cast("type[BaseModel]", annotation)
    return list(table.model_fields)


def merge(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Put nested tables over others."""
    merged = dict(defaults)
    for key, value in given.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged
