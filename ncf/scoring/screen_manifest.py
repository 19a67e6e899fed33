"""What ``bundle.json`` says of the screen: how it was calibrated, or why there is none."""

from dataclasses import dataclass
from typing import Annotated

from ncf.scoring.values import Count, Positive, Share


@dataclass(frozen=True)
class NoScreen:
    """Why a bundle has no screened graph.

    Parameters
    ----------
    reason : str
        Why not.
    """

    reason: str


@dataclass(frozen=True)
class SampledUsers:
    """Counts of the users that a screen was calibrated with.

    Parameters
    ----------
    fit, choose, held_out : int
        The basis was fitted to the first, the second chose rank and candidates, the third measured
        recall.
    """

    fit: Positive
    choose: Positive
    held_out: Positive


@dataclass(frozen=True)
class Calibrated:
    """What export found to be enough for lists up to a length.

    Parameters
    ----------
    k : int
        Length of the lists.
    candidates : int
        Items a user to score exactly, for lists up to k.
    recall : float
        Of held-out users' exact lists.
    recall_bound : float
        One-sided 95 % lower bound, by user.
    estimated_gain : float
        Arithmetic of exact ranking, as a multiple.
    """

    k: Positive
    candidates: Positive
    recall: Share
    recall_bound: Share
    estimated_gain: Annotated[float, {"exclusiveMinimum": 0}]


@dataclass(frozen=True)
class Screen:
    """How the screened graph was calibrated.

    Parameters
    ----------
    target : float
        Least recall on held-out users.
    seed : int
        Of the sampled users.
    rank : int
        Columns of the basis.
    landmarks : int
        Items whose tower every user's guess starts from.
    users : SampledUsers
        Sampled users, by what they were used for.
    by_k : tuple of Calibrated
        By ascending length of list; longer lists than the last are for the exact graph.
    """

    target: Annotated[float, {"exclusiveMinimum": 0, "exclusiveMaximum": 1}]
    seed: Count
    rank: Positive
    landmarks: Positive
    users: SampledUsers
    by_k: Annotated[tuple[Calibrated, ...], {"minItems": 1}]
