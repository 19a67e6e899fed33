"""Define the screen's entry in ``bundle.json``: its calibration, or why there is none."""

from dataclasses import dataclass
from typing import Annotated

from ncf.records import optional
from ncf.scoring.values import Count, Positive, Share


@dataclass(frozen=True)
class NoScreen:
    """The reason why a bundle has no screened graph.

    Parameters
    ----------
    reason : str
        Why there is none.
    """

    reason: str


@dataclass(frozen=True)
class SampledUsers:
    """Counts of the users that a screen was calibrated with.

    Parameters
    ----------
    fit, choose, held_out : int
        The first fitted the guess, the second chose rank and candidates, the third measured recall.
    """

    fit: Positive
    choose: Positive
    held_out: Positive


@dataclass(frozen=True)
class Calibrated:
    """The number of candidates that export found to be enough for lists up to a length.

    Parameters
    ----------
    k : int
        Length of the lists.
    candidates : int
        Items scored exactly for each user, for lists up to k.
    recall : float
        Recall of held-out users' exact lists.
    recall_bound : float
        One-sided 95 % lower bound of the recall, by user.
    estimated_gain : float
        Arithmetic of exact ranking, as a multiple of that of screening.
    missed, entries : int or None
        Misses among the entries of held-out users' exact lists; None in bundles of earlier
        versions.
    least_margin : float or None
        Users whose margin is lower are ranked exactly, as an item may be missed; None for nobody.
    hard : float
        Share of held-out users with a lower margin.
    """

    k: Positive
    candidates: Positive
    recall: Share
    recall_bound: Share
    estimated_gain: Annotated[float, {"exclusiveMinimum": 0}]
    missed: int | None = optional()
    entries: int | None = optional()
    least_margin: float | None = optional()
    hard: Share = 0.0


@dataclass(frozen=True)
class Screen:
    """The calibration of the screened graph.

    Parameters
    ----------
    target : float
        Least recall on held-out users.
    seed : int
        Seed of the sample of users.
    rank : int
        Columns of the product that guesses.
    users : SampledUsers
        Counts of sampled users by their use.
    by_k : tuple of Calibrated
        Entries by ascending length of list; lists longer than the last are for the exact graph.
    relus : int or None
        Number of relu features of a user; None in bundles of earlier versions.
    landmarks : int or None
        In bundles of earlier versions, the number of items whose exact logits every user's guess
        starts from.
    """

    target: Annotated[float, {"exclusiveMinimum": 0, "exclusiveMaximum": 1}]
    seed: Count
    rank: Positive
    users: SampledUsers
    by_k: Annotated[tuple[Calibrated, ...], {"minItems": 1}]
    relus: int | None = optional()
    landmarks: int | None = optional()
