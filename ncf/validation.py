"""Validation figures of each epoch, and of the epoch that a checkpoint keeps."""

from dataclasses import dataclass

from ncf.records import optional


@dataclass(frozen=True)
class Validation:
    """Figures of the best epoch; a model that was not trained has none.

    Parameters
    ----------
    hr, ndcg : float or None
        Hit ratio and normalised discounted cumulative gain at K, in [0, 1].
    protocol : str or None
        ``sampled``, or ``full`` for data of a given split; the two are not comparable.
    k : int or None
        Length of the list.
    best_epoch : int or None
        Number of the best epoch, from 1.
    weights : str or None
        Always ``honest``: those that have not seen what was held out; None in files of before.
    """

    hr: float | None = optional()
    ndcg: float | None = optional()
    protocol: str | None = optional()
    k: int | None = optional()
    best_epoch: int | None = optional()
    weights: str | None = optional()


@dataclass(frozen=True)
class Epoch:
    """One row of a training's history.

    Parameters
    ----------
    epoch : int
        Number of the epoch, from 1.
    loss : float or None
        Mean binary cross-entropy over the epoch, nats; None for the mix of two parents, before any
        training.
    hr, ndcg : float
        Validation figures.
    """

    epoch: int
    loss: float | None
    hr: float
    ndcg: float
