"""The result of a training, before it is written as a checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass

from ncf.models.architecture import Architecture
from ncf.models.weights import Weights
from ncf.training.learned import Learned
from ncf.training.manifest import Outcome, Refitted
from ncf.validation import Epoch


@dataclass(frozen=True)
class Product:
    """The result of the refit: float32 arrays by parameter name, and how they were trained."""

    weights: Weights
    facts: Refitted


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Parameters
    ----------
    architecture : Architecture
        Kind and sizes of the network.
    weights : dict
        Float32 arrays by parameter name.
    history : sequence of Epoch
        In their order.
    outcome : Outcome
        What else is known.
    picture : bytes or None
        PNG of the history. The checkpoint's digest covers it, as it covers every file of the
        folder; the same history is drawn to the same bytes.
    product : Product or None
        Weights trained on everything.
    learned : Learned or None
        What all these were trained on; None for what the data says.
    """

    architecture: Architecture
    weights: Weights
    history: Sequence[Epoch]
    outcome: Outcome
    picture: bytes | None = None
    product: Product | None = None
    learned: Learned | None = None
