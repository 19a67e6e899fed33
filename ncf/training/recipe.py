"""How to train: the variants, their default recipes, and recipes from TOML files."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ncf.errors import ConfigError
from ncf.models.kinds import Variant


class Schedule(BaseModel):
    """How one network is trained.

    Parameters
    ----------
    optimizer : {"adam", "sgd"}
        Adam (Kingma and Ba, 2015) or plain stochastic gradient descent.
    learning_rate : float
        Step size, above 0.
    batch_size : int
        Samples a step, positives and negatives together.
    l2 : float
        Weight of the squared norm of all parameters in the loss's gradient, at least 0.
    averaging : float
        Share of the past, in [0, 1), in a running average of the weights over epochs, which is
        what validation and the checkpoint take; 0 takes the weights as they are. Source: Polyak
        and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J. Control
        and Optimization 30(4), 1992, with exponential weights.
    epochs : int
        At most so many.
    patience : int
        Stop after so many epochs without a better validation NDCG@10.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(default=0.001, gt=0, allow_inf_nan=False)
    l2: float = Field(default=1e-6, ge=0, allow_inf_nan=False)
    averaging: float = Field(default=0.7, ge=0, lt=1)
    batch_size: int = Field(default=256, ge=1, le=2**24)
    epochs: int = Field(default=20, ge=1, le=10**6)
    patience: int = Field(default=5, ge=1, le=10**6)


class Recipe(BaseModel):
    """Everything that decides the weights, besides the data and the machine.

    Parameters
    ----------
    factors : int
        Predictive factors.
    layers : int
        Layers of the MLP tower, 1 to 5.
    dropout : float
        Before each tower layer, in [0, 1).
    negatives : int
        Drawn for each training pair, anew each epoch.
    seed : int
        All random choices follow from it.
    schedule : Schedule
        How the variant itself is trained.
    parents : Schedule
        How ``neumf-pre`` trains its GMF and its MLP; of no effect elsewhere.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    factors: int = Field(default=32, ge=1, le=4096)
    layers: int = Field(default=3, ge=1, le=5)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    negatives: int = Field(default=4, ge=1, le=1000)
    seed: int = Field(default=0, ge=0, lt=2**32)
    schedule: Schedule = Schedule()
    parents: Schedule = Schedule()


def default_recipe(variant: Variant) -> Recipe:
    """Recipe of a variant where no file gives one; chosen on ML-100K's validation part."""
    if variant is Variant.NEUMF_PRE:
        # Adam's momentum means nothing to weights trained elsewhere (He et al., section 3.4.1).
        return Recipe(schedule=Schedule(optimizer="sgd", l2=0.0, averaging=0.0))
    return Recipe()


def load_recipe(path: Path, variant: Variant) -> Recipe:
    """Read a TOML file over the variant's default recipe.

    Raises
    ------
    ConfigError
        The file is missing, is not TOML, or has an unknown key or a value out of range.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError("no such file", where=path) from error
    except (ValueError, RecursionError) as error:  # TOML or UTF-8 or a number beyond all bounds
        raise ConfigError(f"not TOML ({error})", where=path) from error
    return parse_recipe(_merge(default_recipe(variant).model_dump(), given), path)


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
            table = Schedule if key.startswith(("schedule.", "parents.")) else Recipe
            known = ", ".join(table.model_fields)
            raise ConfigError(
                f"unknown key {key!r}", where=where, remedy=f"known: {known}"
            ) from None
        raise ConfigError(f"{key} = {first['input']!r}: {first['msg']}", where=where) from None


def _merge(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    merged = dict(defaults)
    for key, value in given.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
