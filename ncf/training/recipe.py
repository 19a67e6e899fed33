"""Define recipes, which say how to train, and read them from the toolkit's and users' files."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ncf.errors import ConfigError
from ncf.models.kinds import Variant
from ncf.training.names import Named


class Blocks(BaseModel):
    """Training of GMF on all pairs, a block of users at a time; see :mod:`ncf.training.blocks`.

    Parameters
    ----------
    users : int
        Largest number of users in a block, over all processes.
    steps : int
        Least number of blocks in an epoch, where there are as many users.
    items : int
        Number of random items that a block learns from, beside those of its training pairs; a
        catalogue of at most twice as many is taken whole.
    unseen : float
        Weight of an unseen pair in the loss, above 0; a training pair weighs 1.
    popularity : float
        The weight is multiplied by the item's count of pairs to this power, at a mean of 1.
    user_rate : float
        Step size of users' rows, above 0, which step once in an epoch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    users: int = Field(default=256, ge=1, le=2**20)
    steps: int = Field(default=48, ge=1, le=2**20)
    items: int = Field(default=10_000, ge=1, le=2**24)
    unseen: float = Field(default=0.2, gt=0, allow_inf_nan=False)
    popularity: float = Field(default=0.125, ge=-2, le=2)
    user_rate: float = Field(default=0.4, gt=0, allow_inf_nan=False)


class Start(BaseModel):
    """A GMF, trained by blocks, whose embeddings a network starts from.

    Parameters
    ----------
    epochs : int
        Number of its epochs.
    learning_rate, l2, averaging : float
        As in :class:`Schedule`, for training by blocks.
    scale : float
        Root mean square, above 0, of the embeddings that a tower starts with.
    blocks : Blocks
        Its blocks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(default=16, ge=1, le=10**6)
    learning_rate: float = Field(default=0.004, gt=0, allow_inf_nan=False)
    l2: float = Field(default=0.3, ge=0, allow_inf_nan=False)
    averaging: float = Field(default=0.25, ge=0, le=1)
    scale: float = Field(default=0.2, gt=0, allow_inf_nan=False)
    blocks: Blocks = Blocks()


class Schedule(BaseModel):
    """The schedule of one network's training.

    Parameters
    ----------
    optimizer : {"adam", "sgd"}
        Adam (Kingma and Ba, 2015) or plain stochastic gradient descent.
    learning_rate : float
        Step size, above 0.
    decay : float
        Factor on the learning rate after each epoch, in (0, 1].
    batch_size : int
        Samples in a step, positives and negatives together.
    negatives : int
        Number drawn for each training pair, newly in each epoch.
    l2 : float
        Weight, at least 0, of squared embeddings in the loss: over positives, the mean of
        ``|p_u|^2 + |q_i|^2 + mean(|q_j|^2)`` with negatives j. Users and items are regularised as
        often as they occur, as in Rendle et al., "Neural collaborative filtering vs. matrix
        factorization revisited", RecSys 2020.
    l2_warmup : float
        Number of epochs, at least 0, over which the weight of L2 rises from 0: embeddings start
        near zero, where L2 would only slow them down.
    averaging : float
        Share of the training so far, in [0, 1], over whose newest part weights are averaged for
        validation and the checkpoint; 0 takes the current weights. See :class:`Average`.
    epochs : int
        Largest number of epochs. Only a schedule that begins from parents or a ``start`` may have
        0, which keeps what it begins from.
    patience : int
        Number of epochs without a better validation NDCG@10 after which training stops.
    blocks : Blocks or None
        Learn from all pairs by blocks of users, GMF only. Then ``learning_rate`` is that of items,
        ``l2`` weights a row's squares times the square root of its count of pairs, and
        ``optimizer``, ``batch_size``, ``negatives`` and ``l2_warmup`` have no effect.
    start : Start or None
        Start the embeddings of an MLP or a NeuMF from a GMF that is trained first; that counts as
        the first epoch.
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
    epochs: int = Field(default=20, ge=0, le=10**6)
    patience: int = Field(default=5, ge=1, le=10**6)
    blocks: Blocks | None = None
    start: Start | None = None


class Parents(BaseModel):
    """The parents of ``neumf-pre``: the schedules of its GMF and MLP, and their mix.

    Parameters
    ----------
    gmf, mlp : Schedule
        Schedule of each parent.
    mix : float or None
        Weight of the GMF parent's output layer, in [0, 1]; the MLP's has the rest (He et al.,
        eq. 13). None takes the best of nine values on validation.
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


def named_recipe(name: Named, variant: Variant) -> Recipe:
    """Read a recipe of the toolkit, ``recipes/NAME.toml``, for a variant.

    The file has a table for each variant; ``neumf-pre`` takes its parents from those tables.

    Examples
    --------
    >>> named_recipe(Named.PAPER, Variant.GMF).factors
    64
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
    """Read ``recipes/NAME.toml`` for a variant: its table, merged over the keys for all."""
    path = files("ncf.training") / "recipes" / f"{name}.toml"
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    of_all = {key: each for key, each in tables.items() if key not in set(Variant)}
    return merge(of_all, tables.get(variant.value, {}))


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
