"""Train a model on prepared data, and open trained models."""

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ncf.api.data import Data, as_data
from ncf.api.devices import torch_device
from ncf.api.figures import Figures
from ncf.api.options import Place, chosen, folder
from ncf.api.recipes import Changes, recipe_of, recorded_recipe
from ncf.artifacts import read_manifest
from ncf.devices import Device
from ncf.errors import UsageError
from ncf.models.kinds import Variant
from ncf.training.addition import refit_only as refit_checkpoint
from ncf.training.checkpoint import Checkpoint, open_checkpoint
from ncf.training.history import load_history
from ncf.training.manifest import CHECKPOINT, CheckpointManifest
from ncf.training.names import Named
from ncf.training.ranks import joined
from ncf.training.request import ParentFolders, Request
from ncf.training.train import train as train_variant

if TYPE_CHECKING:
    import pandas as pd


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
        """Validation figures of the best epoch, by honest weights; what the product's saw; digest.

        ``product`` has the ``epochs`` and ``interactions`` of the refit; None if there was none.
        """
        product = self._manifest.product
        return Figures(
            {
                **asdict(self._manifest.validation),
                "product": None if product is None else asdict(product),
                "digest": self.digest,
            }
        )

    @property
    def product(self) -> "Model":
        """The model with the weights that are exported, trained on everything.

        They cannot be measured: they have seen the test part.

        Raises
        ------
        UsageError
            The checkpoint has none.

        Examples
        --------
        >>> ncf.evaluate(model.product, data)
        Traceback (most recent call last):
        ncf.errors.UsageError: checkpoints/mine: the product weights were trained on the test \
rows: figures on these say nothing; measure the honest weights of the checkpoint
        """
        if self._manifest.product is None:
            raise UsageError(
                "there are no product weights",
                where=self.path,
                remedy="add them: `refit_only=True`",
            )
        return _Product(self.path)

    def validation(self) -> list[tuple[str, str]]:
        """List the validation figures, named with K and protocol, as texts."""
        found = self.figures
        return [
            (f"validation {name}@{found['k']} ({found['protocol']})", f"{found[name.lower()]:.4f}")
            for name in ("HR", "NDCG")
        ]

    def frame(self) -> "pd.DataFrame":
        """Make a frame of the history: loss and validation figures of each epoch."""
        import pandas as pd  # loaded only for a frame

        return pd.DataFrame(
            map(asdict, load_history(self.path)), columns=["epoch", "loss", "hr", "ndcg"]
        )

    @cached_property
    def _manifest(self) -> CheckpointManifest:
        return read_manifest(self.path, CHECKPOINT)


def train(
    data: Data | Place,
    model: str | None = None,
    *,
    out: Place,
    recipe: str | None = None,
    config: Changes = None,
    resume: bool = False,
    gmf: Model | Place | None = None,
    mlp: Model | Place | None = None,
    device: str = "auto",
    amp: bool = False,
    refit: bool = True,
    refit_only: bool = False,
) -> Model:
    """Train a model, and keep the epoch that is best by validation, never by test.

    Then a second set of weights is trained on everything, test part included, for as many epochs:
    :func:`export` takes these, while :func:`evaluate` and :func:`compare` measure the first.

    Under ``torchrun`` all processes train together, and the first one writes.

    Parameters
    ----------
    data : Data, str or Path
        Data from :func:`ncf.prepare`, or its folder.
    model : {"gmf", "mlp", "neumf-end", "neumf-pre"}, optional
        Variant to train; ``neumf-pre`` if not given.
    out : str or Path
        Checkpoint folder to write.
    recipe : {"default", "paper", "tutorial"}, optional
        Recipe that comes with the toolkit; ``default`` if not given.
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
    refit : bool
        Also train on everything, for export.
    refit_only : bool
        Only do that, for the checkpoint at ``out`` that has no such weights, by its own recipe.

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
    target = folder(out, "out")
    if refit_only:
        variant, wanted = recorded_recipe(target, model, recipe, config, refit=refit)
    else:
        variant = chosen(Variant, model or Variant.NEUMF_PRE, "model")
        wanted = recipe_of(recipe or Named.DEFAULT, config, variant)
    if variant is not Variant.NEUMF_PRE and (gmf or mlp):
        raise UsageError('`gmf` and `mlp` apply only to `model="neumf-pre"`')
    given = as_data(data).prepared
    with joined(torch_device(chosen(Device, device, "device"))) as (ranks, place):
        parents = ParentFolders(path_of(gmf, "gmf"), path_of(mlp, "mlp"))
        request = Request(variant, wanted, target, resume, place, parents, amp, ranks, refit)
        (refit_checkpoint if refit_only else train_variant)(request, given)
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


class _Product(Model):
    """A model with its product weights, to export."""

    @cached_property
    def checkpoint(self) -> Checkpoint:
        return open_checkpoint(self.path).exported()
