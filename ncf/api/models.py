"""Trained models, opened from their checkpoints."""

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ncf.api.figures import Figures
from ncf.api.options import Place, folder
from ncf.artifacts import read_manifest
from ncf.errors import UsageError
from ncf.training.checkpoint import Checkpoint, open_checkpoint
from ncf.training.history import load_history
from ncf.training.manifest import CHECKPOINT, CheckpointManifest, WarmStarted

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
        epoch = [] if found["best_epoch"] is None else [f"epoch {found['best_epoch']}"]
        facts = [self.variant, *epoch, *map(" ".join, self.validation())]
        return f"Model({str(self.path)!r}: {', '.join(facts)})"

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Open the checkpoint, weights included; every digest is checked."""
        return open_checkpoint(self.path)

    @property
    def variant(self) -> str:
        """``gmf``, ``mlp``, ``neumf-end``, ``neumf-pre``, or the name of a simple model."""
        return self._manifest.variant

    @property
    def digest(self) -> str:
        """Digest that stands for the whole checkpoint, 64 hex digits."""
        return self._manifest.digest

    @property
    def figures(self) -> Figures:
        """Validation figures of the best epoch, by honest weights; what the product's saw; digest.

        ``product`` has the ``epochs`` and ``interactions`` of the refit; None if there was none.
        ``warm`` tells of a warm start: generation, counts, overlap of lists; None without one.
        A simple model also has its ``settings``, and the count of those that were ``tried``.
        """
        product, warm, tried = self._manifest.product, self._manifest.warm, self._manifest.tried
        simple = {}
        if tried is not None:
            simple = {"settings": dict(self._manifest.recipe), "tried": len(tried)}
        return Figures(
            {
                **asdict(self._manifest.validation),
                "product": None if product is None else asdict(product),
                "warm": None if warm is None else _without_recipe(warm),
                **simple,
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
        """List the validation figures, named with K and protocol; none if they are withheld."""
        found = self.figures
        if found["hr"] is None:
            return []
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


def _without_recipe(warm: WarmStarted) -> dict[str, object]:
    return {name: value for name, value in asdict(warm).items() if name != "recipe"}


class _Product(Model):
    """A model with its product weights, to export."""

    @cached_property
    def checkpoint(self) -> Checkpoint:
        return open_checkpoint(self.path).exported()
