"""Define the manifest of a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ncf.kinds import Kind, Manifest
from ncf.models.architecture import Architecture
from ncf.records import CLOSED, optional
from ncf.validation import Validation


@dataclass(frozen=True)
class TrainedOn:
    """The data that a checkpoint was trained on.

    Parameters
    ----------
    digest : str
        Digest of the prepared data.
    source : mapping
        SHA-256 of each ratings file, by name.
    """

    digest: str
    source: Mapping[str, str]


@dataclass(frozen=True)
class Origin:
    """The training that a network, or a parent of it, comes from, so that it can be repeated.

    Parameters
    ----------
    recipe : mapping
        Recipe, as :class:`ncf.training.recipe.Recipe` writes it.
    epochs : int
        Number of epochs that validation chose.
    """

    recipe: Mapping[str, object]
    epochs: int


@dataclass(frozen=True)
class Refitted:
    """The training of the product weights, on everything.

    Parameters
    ----------
    epochs : int
        Number of epochs, which validation of the honest weights chose.
    interactions : int
        Count of pairs, of all parts.
    """

    epochs: int
    interactions: int


@dataclass(frozen=True)
class Carried:
    """Users or items of a warm start.

    Parameters
    ----------
    kept, new : int
        Those whose rows are the parent's, and those whose rows are new: the parent did not have
        them, or no training pair of theirs.
    dropped : int
        Those of the parent that are gone.
    """

    kept: int
    new: int
    dropped: int


@dataclass(frozen=True)
class WarmStarted:
    """Where a training began that did not begin from noise.

    Parameters
    ----------
    parent : str
        Digest of the checkpoint that it began from.
    generation : int
        Number of trainings since the one from scratch.
    recipe : mapping
        Recipe of that one.
    users, items : Carried
        What became of the parent's users and items.
    learned_validation, learned_test : int
        Pairs of the validation and test parts that earlier honest weights were trained on; figures
        of a part with any are withheld.
    overlap : float or None
        Mean share, in [0, 1], of common items in the honest weights' lists of ten before and after.
    """

    parent: str
    generation: int
    recipe: Mapping[str, object]
    users: Carried
    items: Carried
    learned_validation: int
    learned_test: int
    overlap: float | None = optional()


@dataclass(frozen=True)
class Tried:
    """Settings of a simple model that were tried on the validation part.

    Parameters
    ----------
    settings : mapping
        Value of each setting, by name.
    hr, ndcg : float
        Validation figures.
    """

    settings: Mapping[str, float]
    hr: float
    ndcg: float


@dataclass(frozen=True, kw_only=True)
class CheckpointManifest(Manifest):
    """The manifest of a checkpoint, ``config.json``.

    Parameters
    ----------
    architecture : Architecture
        Kind and sizes of the network.
    data : TrainedOn
        Data of the training.
    variant : str
        Variant that was trained.
    recipe : mapping
        Recipe, as :class:`ncf.training.recipe.Recipe` writes it; settings of a simple model.
    validation : Validation
        Figures of the best epoch.
    parents : mapping
        Digest of each parent, by its variant.
    mix : float or None
        Weight of the GMF parent in the mix that training started from; None if there was no mix.
    finished : bool
        Whether the training ran to its end.
    origins : mapping or None
        Training of each parent, by its variant; None if there is none, or if it is not known.
    product : Refitted or None
        Training of the product weights; None if the checkpoint has none.
    warm : WarmStarted or None
        The start of a training that did not begin from noise.
    tried : tuple of Tried or None
        Settings of a simple model that were tried, in order; None for a network.
    """

    architecture: Architecture = field(metadata=CLOSED)
    data: TrainedOn
    variant: str
    recipe: Mapping[str, object]
    validation: Validation
    parents: Mapping[str, str]
    mix: float | None
    finished: bool = False
    origins: Mapping[str, Origin] | None = optional()
    product: Refitted | None = optional()
    warm: WarmStarted | None = optional()
    tried: tuple[Tried, ...] | None = optional()


@dataclass(frozen=True)
class Outcome:
    """The facts about a training that a checkpoint holds, besides its figures by epoch.

    Parameters
    ----------
    variant : str
        Variant that was trained.
    recipe : mapping
        Recipe, as JSON values.
    validation : Validation
        Figures of the best epoch.
    parents : mapping
        Digest of each parent, by its variant.
    mix : float or None
        Weight of the GMF parent in the mix that training started from.
    finished : bool
        Whether the training ran to its end.
    origins : mapping or None
        Training of each parent, by its variant.
    warm : WarmStarted or None
        The start of a training that did not begin from noise.
    tried : tuple of Tried or None
        Settings of a simple model that were tried, in order; None for a network.
    """

    variant: str
    recipe: Mapping[str, object] = field(default_factory=dict)
    validation: Validation = field(default_factory=Validation)
    parents: Mapping[str, str] = field(default_factory=dict)
    mix: float | None = None
    finished: bool = False
    origins: Mapping[str, Origin] | None = None
    warm: WarmStarted | None = None
    tried: tuple[Tried, ...] | None = None


CHECKPOINT = Kind(
    "checkpoint",
    "config.json",
    1,
    "make it with 'ncf train'",
    CheckpointManifest,
    r"(model|product)\.safetensors|history\.json|training\.png|(users|items|learned)\.parquet",
)
