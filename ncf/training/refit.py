"""Train again on everything, for as long as validation chose: the weights that are exported.

The honest weights have never seen what was held out: each user's latest interactions, the very
ones that matter tomorrow. A refit repeats the training that gave them, with the same recipe, seed
and number of epochs, on all interactions. Nothing is left to measure it on, and nothing is chosen.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch

from ncf.artifacts import canonical_json
from ncf.data.prepared import PreparedData
from ncf.errors import ConfigError
from ncf.files import sha256_bytes
from ncf.models.architecture import build
from ncf.models.kinds import Variant
from ncf.models.networks import GMF, MLP, Network
from ncf.models.weights import Weights
from ncf.records import json_values
from ncf.training.checkpoint import open_checkpoint
from ncf.training.manifest import CheckpointManifest, Origin, Refitted
from ncf.training.recipe import Recipe, parse_recipe
from ncf.training.request import Request, architecture_of
from ncf.training.stage import Stage
from ncf.training.start import SharedStart
from ncf.training.trained import Product

logger = logging.getLogger(__name__)

REFIT_FOLDER = "refit"
"""Folder of the states of interrupted refits, in the work folder of a training."""


@dataclass(frozen=True)
class Kept:
    """What the honest training kept, for the refit to repeat.

    Parameters
    ----------
    epochs : int
        The best epoch by validation; the mix of two parents counts as the first one.
    mix : float or None
        Weight of the GMF parent in that mix; None without parents.
    origins : mapping
        Training of each parent, by its variant; empty without parents.
    """

    epochs: int
    mix: float | None = None
    origins: Mapping[str, Origin] | None = None

    @classmethod
    def of(cls, manifest: CheckpointManifest, where: Path) -> "Kept":
        """Read what a finished checkpoint kept.

        Raises
        ------
        ConfigError
            The checkpoint does not say how its parents were trained, or for how long it was.
        """
        epochs = manifest.validation.best_epoch
        if epochs is None or (manifest.parents and not manifest.origins):
            missing = "its parents were" if epochs else "it was"
            raise ConfigError(
                f"the checkpoint does not say for how long {missing} trained",
                where=where,
                remedy="train again with `refit=True`",
            )
        return cls(epochs, manifest.mix, manifest.origins)


def refit(request: Request, data: PreparedData, kept: Kept, work: Path) -> Product:
    """Train product weights: the same recipe, seed and number of epochs, on all interactions.

    Parameters
    ----------
    request : Request
        The request whose honest training is over; its parents, if it names any that have product
        weights, give these. With ``resume`` an interrupted refit goes on after its last epoch.
    data : PreparedData
        The data of the honest training.
    kept : Kept
        What that training kept.
    work : Path
        Work folder of the training; :data:`REFIT_FOLDER` in it holds the state of each refit.

    Raises
    ------
    DivergedError
        The loss became NaN or infinite.

    Notes
    -----
    The shuffles and negatives are drawn from the same seed, but more pairs give other draws.
    """
    started, joined, states = time.monotonic(), data.joined(), work / REFIT_FOLDER
    origins = kept.origins or {}
    recipes = {
        name: parse_recipe(dict(origin.recipe), f"{request.out}, recipe of {name}")
        for name, origin in origins.items()
    }
    sharing = replace(request, shared=SharedStart(recipes.get(Variant.MLP)))
    parents = {}
    for name, recipe in recipes.items():
        own = replace(sharing, variant=Variant(name), recipe=recipe)
        parents[name] = _parent(own, origins[name].epochs, joined, states)
    digests = {name: sha256_bytes(canonical_json(json_values(origins[name]))) for name in origins}
    stage = Stage(request, joined, digests, kept.epochs)
    if parents:
        gmf, mlp = cast("GMF", parents["gmf"]), cast("MLP", parents["mlp"])
        stage.start_from(gmf, mlp, kept.mix)
    _run(stage, request, states / request.variant.value)
    seconds = time.monotonic() - started
    pairs = len(joined.train)
    what = f"{kept.epochs} epochs on all {pairs:,} interactions"
    with_parents = ", the parents' trainings included" if parents else ""
    logger.info("refit: %s, %.1f s%s", what, seconds, with_parents)
    return Product(stage.weights(), Refitted(kept.epochs, pairs))


def _parent(own: Request, epochs: int, joined: PreparedData, states: Path) -> Network:
    """Refit a parent, or take the product weights of a given one."""
    variant = own.variant
    given = own.parents.gmf if variant is Variant.GMF else own.parents.mlp
    weights = None if given is None else open_checkpoint(given).product
    if weights is None:
        own = replace(own, warm=own.warm and own.warm.of(variant))
        stage = Stage(own, joined, {}, epochs)
        _run(stage, own, states / variant.value)
        weights = stage.weights()
    return _network(variant, own.recipe, joined, weights)


def _run(stage: Stage, request: Request, state: Path) -> None:
    if request.resume:
        stage.restore(state)
    stage.run(state)
    request.ranks.wait()


def _network(variant: Variant, recipe: Recipe, data: PreparedData, weights: Weights) -> Network:
    model = build(architecture_of(variant, recipe, data))
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return model.eval()
