"""The recipe of a training: of the toolkit, changed by callers, or recorded in a checkpoint."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ncf.api.options import Place, chosen, folder
from ncf.artifacts import read_manifest
from ncf.data.prepared import PreparedData
from ncf.errors import ConfigError, UsageError
from ncf.models.kinds import Variant
from ncf.training.checkpoint import Checkpoint
from ncf.training.manifest import CHECKPOINT
from ncf.training.names import Named
from ncf.training.recipe import (
    Recipe,
    load_recipe,
    merge,
    named_recipe,
    parse_recipe,
    sparse_history,
)
from ncf.training.warm_start import warm_recipe

logger = logging.getLogger(__name__)

Changes = Place | Mapping[str, Any] | None
"""Changes to a recipe: a TOML file, or nested mappings of the same keys."""


def recipe_of(
    recipe: str, config: Changes, variant: Variant, data: PreparedData | None = None
) -> Recipe:
    """Read a recipe of the toolkit, and apply changes to it.

    Some recipes differ for sparse data; without the data, this checks what was given.
    """
    history = None if data is None else sparse_history(data.train)
    name = chosen(Named, recipe, "recipe")
    base = named_recipe(name, variant, history)
    found = base if config is None else _changed(base, config)
    wide = base.gmf_factors != named_recipe(name, variant).gmf_factors
    if wide and variant is not Variant.MLP and found.gmf_factors == base.gmf_factors:
        note = "sparse data: a GMF of %d factors; `gmf_factors` of `config` sets it"
        logger.info(note, found.gmf_factors)
    begun = variant is Variant.NEUMF_PRE or found.schedule.start is not None
    if not (found.schedule.epochs or begun):
        raise ConfigError(
            "schedule.epochs = 0: trains nothing",
            where="`config`" if isinstance(config, Mapping) else config,
            remedy="give at least 1",
        )
    return found


def warm_recipe_of(
    parent: Checkpoint, model: str | None, recipe: str | None, config: Changes
) -> tuple[Variant, Recipe]:
    """Find what a training that starts from a checkpoint is: its variant, its recipe at low rates.

    Changes must leave the sizes of the network as they are.
    """
    variant = _network_of(parent.manifest.variant, parent.path)
    if model is not None and chosen(Variant, model, "model") is not variant:
        raise UsageError(
            f"`model` is {model}, and the checkpoint to start from a {variant.value}",
            where=parent.path,
            remedy="leave `model` out",
        )
    if recipe is not None:
        raise UsageError(
            "`warm_start` takes the recipe of its checkpoint, for a few epochs at a low rate",
            remedy="leave `recipe` out; `config` may change the schedule",
        )
    base = warm_recipe(parent)
    found = base if config is None else _changed(base, config)
    sizes = ("factors", "gmf_factors", "layers")
    other = [name for name in sizes if getattr(found, name) != getattr(base, name)]
    if other:
        raise ConfigError(
            f"{other[0]} is not that of the checkpoint to start from ({getattr(base, other[0])})",
            where=parent.path,
            remedy="leave it out of `config`",
        )
    return variant, found


def recorded_recipe(
    target: Path, model: str | None, recipe: str | None, config: Changes, *, refit: bool
) -> tuple[Variant, Recipe]:
    """Read what a checkpoint was trained as, for a refit alone."""
    if recipe is not None or config is not None or not refit:
        raise UsageError(
            "`refit_only` repeats the checkpoint's own recipe",
            remedy="leave `recipe`, `config` and `refit=False` out",
        )
    manifest = read_manifest(target, CHECKPOINT)
    variant = _network_of(manifest.variant, target)
    if model is not None and chosen(Variant, model, "model") is not variant:
        raise UsageError(
            f"`model` is {model}, and the checkpoint a {variant.value}",
            where=target,
            remedy="leave `model` out",
        )
    return variant, parse_recipe(dict(manifest.recipe), target)


def _network_of(name: str, where: Path) -> Variant:
    if name not in set(Variant):
        raise UsageError(
            f"{name} is no network: it has neither a warm start nor a refit of its own",
            where=where,
            remedy="train it again; that takes seconds",
        )
    return Variant(name)


def _changed(base: Recipe, config: Place | Mapping[str, Any]) -> Recipe:
    if isinstance(config, Mapping):
        return parse_recipe(merge(base.model_dump(), dict(config)), "`config`")
    return load_recipe(folder(config, "config"), base)
