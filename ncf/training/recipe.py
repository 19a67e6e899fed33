"""Define recipes, which say how to train, and read them from the toolkit's and users' files."""

import math
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ncf.data.interactions import Interactions
from ncf.errors import ConfigError
from ncf.models.kinds import Variant
from ncf.training.names import Named
from ncf.training.schedule import Schedule

_MANY_ITEMS = 10_000
_FEW_PAIRS = 40  # of an item, on average, in training
_MOST_ROWS = 300_000  # of users and items, so that wide rows do not cost much memory
_L2_BY_HISTORY = "l2_by_history"  # of sparse data: over the root of a user's mean training pairs
_LEAST_L2, _MOST_L2 = 0.2, 0.5


class Parents(BaseModel):
    """The parents of ``neumf-pre``: the schedules of its GMF and MLP, and their mix.

    Parameters
    ----------
    gmf, mlp : Schedule
        Schedule of each parent.
    mix : float or None
        Weight of the GMF parent's output layer, in [0, 1]; the MLP's has the rest (He et al.,
        eq. 13). None takes the best of nine values on validation, or 1, the GMF alone,
        where that is better by more than 1 %.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    gmf: Schedule = Schedule()
    mlp: Schedule = Schedule()
    mix: float | None = Field(default=None, ge=0, le=1)


class Recipe(BaseModel):
    """A recipe: everything that determines the weights, besides the data and the machine.

    Parameters
    ----------
    factors : int
        Predictive factors, the width of the last layer of the MLP branch.
    gmf_factors : int or None
        Predictive factors of the GMF branch; None takes ``factors``.
    layers : int
        Layers of the MLP tower, 1 to 5.
    dropout : float
        Share of inputs dropped before each tower layer, in [0, 1). Within a batch, an embedding
        loses the same inputs in all of its pairs.
    seed : int
        Seed of all random choices.
    schedule : Schedule
        Schedule of the variant itself.
    parents : Parents
        Parents of ``neumf-pre``; without effect elsewhere.

    Examples
    --------
    >>> Recipe(factors=32, layers=2).schedule.optimizer
    'adam'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    factors: int = Field(default=32, ge=1, le=4096)
    gmf_factors: int | None = Field(default=None, ge=1, le=4096)
    layers: int = Field(default=3, ge=1, le=5)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    schedule: Schedule = Schedule()
    parents: Parents = Parents()


def named_recipe(name: Named, variant: Variant, history: float | None = None) -> Recipe:
    """Read a recipe of the toolkit, ``recipes/NAME.toml``, for a variant.

    The file has a table for each variant; ``neumf-pre`` takes its parents from those tables. Its
    table ``sparse`` has what is different for sparse data.

    Parameters
    ----------
    name : Named
        The recipe.
    variant : Variant
        What is trained.
    history : float, optional
        Of sparse data, from :func:`sparse_history`.

    Examples
    --------
    >>> named_recipe(Named.PAPER, Variant.GMF).factors
    64
    >>> [named_recipe(Named.DEFAULT, Variant.GMF, each).schedule.l2 for each in (None, 5.5, 27)]
    [0.28, 0.469, 0.2117]
    """
    given = recipe_tables(name.value, variant, history)
    if variant is Variant.NEUMF_PRE:
        parents = {
            parent.value: recipe_tables(name.value, parent, history)["schedule"]
            for parent in (Variant.GMF, Variant.MLP)
        }
        given = merge({"parents": parents}, given)
    return parse_recipe(given, f"{name.value}.toml")


def recipe_tables(name: str, variant: Variant, history: float | None = None) -> dict[str, Any]:
    """Read ``recipes/NAME.toml`` for a variant: its table, merged over the keys for all."""
    path = files("ncf.training") / "recipes" / f"{name}.toml"
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    of_sparse = tables.pop("sparse", {})
    if history is not None:
        tables = merge(tables, _settled(of_sparse, history))
    of_all = {key: each for key, each in tables.items() if key not in set(Variant)}
    return merge(of_all, tables.get(variant.value, {}))


def _settled(tables: dict[str, Any], history: float) -> dict[str, Any]:
    """Put numbers for L2 in the place of those that are by the length of users' histories."""
    found: dict[str, Any] = {}
    for key, value in tables.items():
        if key == _L2_BY_HISTORY:
            l2 = min(max(value / math.sqrt(history), _LEAST_L2), _MOST_L2)
            found["l2"] = round(l2, 4)
        else:
            found[key] = _settled(value, history) if isinstance(value, dict) else value
    return found


def sparse_history(train: Interactions) -> float | None:
    """Count the training pairs of a user, on average, where data are sparse; None elsewhere.

    Data are sparse where many items have few training pairs, and wide rows for all cost little
    memory: more than 10,000 items with fewer than 40 pairs each on average, and at most 300,000
    users and items together. Users without a pair are not counted.
    """
    rows, few = train.n_users + train.n_items, len(train) < _FEW_PAIRS * train.n_items
    if not (train.n_items > _MANY_ITEMS and few and rows <= _MOST_ROWS) or not len(train):
        return None
    return len(train) / np.unique(train.users).size


def default_recipe(variant: Variant) -> Recipe:
    """Read the default recipe of a variant."""
    return named_recipe(Named.DEFAULT, variant)


def load_recipe(path: Path, base: Recipe) -> Recipe:
    """Read a TOML file, and merge it over a recipe.

    Raises
    ------
    ConfigError
        The file is missing, is not TOML, or has an unknown key or a value out of range.
    """
    return parse_recipe(merge(base.model_dump(), read_toml(path)), path)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a user's TOML file.

    Raises
    ------
    ConfigError
        The file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError("no such file", where=path) from error
    except (ValueError, RecursionError) as error:  # bad TOML, bad UTF-8, or a number too large
        raise ConfigError(f"not TOML ({error})", where=path) from error


def parse_recipe(document: dict[str, Any], where: object) -> Recipe:
    """Check a recipe that was read from a file or a checkpoint.

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
    """List the keys of the table at a path."""
    table: type[BaseModel] = Recipe
    for part in path:
        annotation = table.model_fields[str(part)].annotation
        table = cast("type[BaseModel]", annotation)
    return list(table.model_fields)


def merge(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Merge nested tables over others.

    Examples
    --------
    >>> merge({"factors": 8, "schedule": {"epochs": 3}}, {"schedule": {"epochs": 5}})
    {'factors': 8, 'schedule': {'epochs': 5}}
    """
    merged = dict(defaults)
    for key, value in given.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged
