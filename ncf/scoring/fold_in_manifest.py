"""Define the entry of folding in in ``bundle.json``: its promise, or why there is none."""

from dataclasses import dataclass
from typing import Literal

from ncf.scoring.values import Count, Distance, Positive, Share


@dataclass(frozen=True)
class NoFoldIn:
    """The reason why a bundle cannot fold in.

    Parameters
    ----------
    reason : str
        Why there is none.
    """

    reason: str


@dataclass(frozen=True)
class Promise:
    """How good folded rows are, for histories of one length and by one protocol.

    Parameters
    ----------
    protocol : {"full", "sampled"}
        Rank the whole catalogue, or sampled items.
    history : int or None
        Length of the histories, or the user's length where that is less; None for whole ones.
    users : int
        Count of users.
    popular, folded, trained : float
        Mean NDCG@10 of the popular items, of folded rows, and of trained rows, which knew the
        whole history. The users' own rows were not in the fit, but the items knew these users.
    loss : float
        Stated loss of NDCG@10 against trained rows, for users whom the items never knew.
    loss_se : float
        Its standard error over users.
    """

    protocol: Literal["full", "sampled"]
    history: int | None
    users: Positive
    popular: Share
    folded: Share
    trained: Share
    loss: float
    loss_se: Distance


@dataclass(frozen=True)
class FoldInFacts:
    """The facts about folding in.

    Parameters
    ----------
    min_history : int
        Shortest history that is folded in; users with a shorter one are treated as unknown.
    measured : bool
        Whether ``min_history`` was found by measurement, not set.
    users, items : int
        Users that the map of users was fitted on, and items that the map of items was fitted on.
    seed : int
        Seed of the parts of histories.
    promise : tuple of Promise
        Figures by protocol and length of history; empty if the data has no test case.
    """

    min_history: Positive
    measured: bool
    users: Positive
    items: Positive
    seed: Count
    promise: tuple[Promise, ...]
