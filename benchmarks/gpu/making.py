"""Make worlds with all of our environment: prepared data, a checkpoint, a bundle."""

import shutil
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu.tastes import Tastes, draw
from benchmarks.synthetic import made_up, make_data
from export.publish import publish
from export.source import Source
from ncf.data.interactions import Cases, Interactions
from ncf.data.prepared import (
    PreparedData,
    negatives_path,
    open_data,
    seal_data,
    write_interactions,
)
from ncf.identifiers import IdMap
from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Variant
from ncf.training.checkpoint import open_checkpoint, weights_of, write_checkpoint
from ncf.training.manifest import Outcome
from ncf.training.names import Named
from ncf.training.recipe import named_recipe
from ncf.training.request import Request
from ncf.training.train import train
from ncf.training.trained import Trained

_EPOCHS = 4
_EACH = 20


def random_source(folder: Path, shape: Architecture) -> Source:
    """Make a model of random weights, large enough that logits spread over several units."""
    data = make_data(folder / "data", shape.n_users, shape.n_items, min(_EACH, shape.n_items // 2))
    torch.manual_seed(0)
    model = build(shape)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".user." in name or ".item." in name:
                parameter.mul_(100)
            elif name.endswith("bias"):
                parameter.normal_(std=0.3)
    write_checkpoint(
        folder / "checkpoint",
        Trained(shape, weights_of(model), [], Outcome(shape.kind.value)),
        data,
    )
    return Source(open_checkpoint(folder / "checkpoint"), data, screen=False)


def trained_source(
    folder: Path, checkpoint: Path | None, data: Path | None, *, small: bool
) -> Source:
    """Take a trained model, or train one for a minute on made-up tastes."""
    if checkpoint is not None and data is not None:
        return Source(open_checkpoint(checkpoint), open_data(data))
    sizes = (120, 300, 12) if small else (6038, 3533, 95)
    prepared = _prepared(folder / "data", draw(*sizes))
    recipe = named_recipe(Named.DEFAULT, Variant.NEUMF_END)
    schedule = recipe.schedule.model_copy(update={"epochs": 1 if small else _EPOCHS})
    recipe = recipe.model_copy(update={"schedule": schedule})
    out = folder / "checkpoint"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train(Request(Variant.NEUMF_END, recipe, out, device=device), prepared)
    return Source(open_checkpoint(out), prepared)


def _prepared(folder: Path, tastes: Tastes) -> PreparedData:
    train_pairs = tastes.train
    nothing = Interactions(
        train_pairs.users[:0], train_pairs.items[:0], train_pairs.n_users, train_pairs.n_items
    )
    none = np.empty((0, tastes.validation.negatives.shape[1]), np.int32)
    folder.mkdir(parents=True)
    write_interactions(folder, "train", train_pairs)
    for part, cases in (("validation", tastes.validation), ("test", Cases(nothing, none))):
        write_interactions(folder, part, cases.positives)
        np.save(negatives_path(folder, part), cases.negatives)
    sizes = (train_pairs.n_users, train_pairs.n_items)
    users, items = (IdMap([str(index) for index in range(size)]) for size in sizes)
    n_cases = len(tastes.validation.positives)
    seal_data(folder, users, items, made_up(train_pairs, n_cases))
    return open_data(folder)


def export_world(source: Source, folder: Path, *, weights: bool) -> None:
    """Export a bundle, and perhaps its weights as arrays; remove the rest."""
    publish(source, folder, "ncf")
    (folder / "ncf.mar").unlink()
    arrays = source.checkpoint.weights
    if weights:
        np.savez(folder / "weights.npz", **arrays)  # type: ignore[arg-type]  # no allow_pickle there
    for made in ("checkpoint", "data"):
        shutil.rmtree(folder / made, ignore_errors=True)
