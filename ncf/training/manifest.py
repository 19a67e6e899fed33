"""What the manifest of a checkpoint says."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ncf.artifacts import Kind, Manifest
from ncf.models.architecture import Architecture
from ncf.records import CLOSED
from ncf.validation import Validation


@dataclass(frozen=True)
class TrainedOn:
    """Which data a checkpoint was trained on.

    Parameters
    ----------
    digest : str
        Digest of the prepared data.
    source : mapping
        SHA-256 of each ratings file, by name.
    """

    digest: str
    source: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class CheckpointManifest(Manifest):
    """What ``config.json`` says.

    Parameters
    ----------
    architecture : Architecture
        Shape of the network.
    data : TrainedOn
        What it was trained on.
    variant : str
        What was trained.
    recipe : mapping
        How, as :class:`ncf.training.recipe.Recipe` writes it.
    validation : Validation
        Figures of the best epoch.
    parents : mapping
        Digest of each parent, by its variant.
    mix : float or None
        Weight of the GMF parent in the mix that training started from; None where there was none.
    finished : bool
        Whether training came to its end.
    """

    architecture: Architecture = field(metadata=CLOSED)
    data: TrainedOn
    variant: str
    recipe: Mapping[str, object]
    validation: Validation
    parents: Mapping[str, str]
    mix: float | None
    finished: bool = False


CHECKPOINT = Kind(
    "checkpoint",
    "config.json",
    1,
    "make it with 'ncf train'",
    CheckpointManifest,
    r"model\.safetensors|history\.json|training\.png|(users|items)\.parquet",
)
