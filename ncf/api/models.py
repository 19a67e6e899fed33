"""Train a model on prepared data, and open trained models."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncf.api.data import Data, as_data
from ncf.api.devices import torch_device
from ncf.api.figures import Figures
from ncf.api.options import Place, chosen, folder
from ncf.artifacts import read_manifest
from ncf.devices import Device
from ncf.errors import UsageError
from ncf.models.kinds import Variant
from ncf.training.checkpoint import Checkpoint, open_checkpoint
from ncf.training.history import load_history
from ncf.training.manifest import CHECKPOINT, CheckpointManifest
from ncf.training.names import Named
from ncf.training.ranks import joined
from ncf.training.recipe import Recipe, load_recipe, merge, named_recipe, parse_recipe
from ncf.training.request import ParentFolders, Request
from ncf.training.train import train as train_variant

if TYPE_CHECKING:
    import pandas as pd

Changes = Place | Mapping[str, Any] | None


class Model:
    """A trained model, in the checkpoint folder that :func:`ncf.train` wrote.

    Parameters
    ----------
    path : Path
        Folder of the checkpoint.

    Examples
    --------
    >>> model.variant, model.figures["best_epoch"]
    ('gmf', 2)
    >>> model.frame().columns.tolist()
    ['epoch', 'loss', 'hr', 'ndcg']
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        found = self.figures
        facts = [self.variant, f"epoch {found['best_epoch']}", *map(" ".join, self.validation())]
        return f"Model({str(self.path)!r}: {', '.join(facts)})"

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Open the checkpoint, weights included; every digest is checked."""
        return open_checkpoint(self.path)

    @property
    def variant(self) -> str:
        """``gmf``, ``mlp``, ``neumf-end`` or ``neumf-pre``."""
        return self._manifest.variant

    @property
    def digest(self) -> str:
        """Digest that stands for the whole checkpoint, 64 hex digits."""
        return self._manifest.digest

    @property
    def figures(self) -> Figures:
        """Validation figures of the best epoch, and the digest."""
        return Figures({**asdict(self._manifest.validation), "digest": self.digest})

    def validation(self) -> list[tuple[str, str]]:
        """List the validation figures, named with K and protocol, as texts."""
        found = self.figures
        return [
            (f"validation {name}@{found['k']} ({found['protocol']})", f"{found[name.lower()]:.4f}")
            for name in ("HR", "NDCG")
        ]

    def frame(self) -> "pd.DataFrame":
        """Make a frame of the history: loss and (sampled) validation figures of each epoch."""
        import pandas as pd  # loaded only for a frame

        return pd.DataFrame(
            map(asdict, load_history(self.path)), columns=["epoch", "loss", "hr", "ndcg"]
        )

    @cached_property
    def _manifest(self) -> CheckpointManifest:
        return read_manifest(self.path, CHECKPOINT)


def train(
    data: Data | Place,
    model: str = "neumf-pre",
    *,
    out: Place,
    recipe: str = "default",
    config: Changes = None,
    resume: bool = False,
    gmf: Model | Place | None = None,
    mlp: Model | Place | None = None,
    device: str = "auto",
    amp: bool = False,
) -> Model:
    """Train a model, and keep the epoch that is best by validation, never by test.

    Under ``torchrun`` all processes train together, and the first one writes.

    Parameters
    ----------
    data : Data, str or Path
        Data from :func:`ncf.prepare`, or its folder.
    model : {"gmf", "mlp", "neumf-end", "neumf-pre"}
        Variant to train.
    out : str or Path
        Checkpoint folder to write.
    recipe : {"default", "paper", "tutorial"}
        Recipe that comes with the toolkit.
    config : str, Path or mapping, optional
        Changes to the recipe: a TOML file, or nested mappings of the same keys.
    resume : bool
        Continue an interrupted training after its last whole epoch.
    gmf, mlp : Model, str or Path, optional
        Parents of ``neumf-pre``; trained first if not given.
    device : {"auto", "cpu", "cuda"}
        Device that computes.
    amp : bool
        Compute in bfloat16 where it is safe; for GPUs.

    Raises
    ------
    UsageError
        There is nothing to learn from, or options exclude each other.
    ConfigError
        The recipe has an unknown key or a value out of range.
    InterruptedWorkError
        Ctrl-C was pressed; the best epoch so far was written.

    Examples
    --------
    >>> quick = {"factors": 4, "schedule": {"epochs": 2, "batch_size": 64}}
    >>> ncf.train(data, "gmf", out="checkpoints/quick", config=quick)  # doctest: +ELLIPSIS
    Model('checkpoints/quick': gmf, epoch ..., validation HR@10 ...)
    """
    variant = chosen(Variant, model, "model")
    if variant is not Variant.NEUMF_PRE and (gmf or mlp):
        raise UsageError('`gmf` and `mlp` apply only to `model="neumf-pre"`')
    target, wanted = folder(out, "out"), recipe_of(recipe, config, variant)
    given = as_data(data).prepared
    with joined(torch_device(chosen(Device, device, "device"))) as (ranks, place):
        parents = ParentFolders(path_of(gmf, "gmf"), path_of(mlp, "mlp"))
        train_variant(Request(variant, wanted, target, resume, place, parents, amp, ranks), given)
    return Model(target)


def open_model(path: Place) -> Model:
    """Open a model that was trained earlier; every digest is checked.

    Raises
    ------
    ArtifactError
        Something is missing or damaged.

    Examples
    --------
    >>> ncf.open_model("checkpoints/mine").variant
    'gmf'
    """
    model = as_model(path)
    _ = model.checkpoint
    return model


def as_model(model: Model | Place, name: str = "model") -> Model:
    """Return a model as it is, or open the folder that holds it."""
    return model if isinstance(model, Model) else Model(folder(model, name))


def path_of(place: Model | Place | None, name: str) -> Path | None:
    """Find the folder of a model, or return a given folder as a path."""
    if isinstance(place, Model):
        return place.path
    return None if place is None else folder(place, name)


def recipe_of(recipe: str, config: Changes, variant: Variant) -> Recipe:
    """Read a recipe of the toolkit, and apply changes to it."""
    base = named_recipe(chosen(Named, recipe, "recipe"), variant)
    if isinstance(config, Mapping):
        return parse_recipe(merge(base.model_dump(), dict(config)), "`config`")
    return base if config is None else load_recipe(folder(config, "config"), base)
