"""Requests to a recommender and its answers, in raw ids."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ncf.policies import Policy
from ncf.scoring.ranker import check_k


@dataclass(frozen=True)
class Wishes:
    """Wishes about a user's list, checked when they are made.

    Parameters
    ----------
    k : int
        Largest number of items, at least 1.
    exclude : tuple of str
        Raw ids of items to leave out; unknown ones have no effect.
    candidates : tuple of str, or None
        Raw ids of the only items that may be listed; an unknown one is an error.
    include_seen : bool
        Whether seen items may be listed.
    exact : bool
        Whether every item must be scored even though there is a screen.
    history : tuple of str, or None
        Raw ids of items that the user has taken, besides those that the bundle knows of; unknown
        ones are counted.

    Raises
    ------
    UsageError
        ``k`` is less than 1.
    """

    k: int = 10
    exclude: tuple[str, ...] = ()
    candidates: tuple[str, ...] | None = None
    include_seen: bool = False
    exact: bool = False
    history: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Check the length, once for all rankers."""
        check_k(self.k)


@dataclass(frozen=True)
class Request:
    """A request: a raw user id, empty for a nameless stranger, and wishes about the list."""

    user: str
    wishes: Wishes


class Scored(NamedTuple):
    """One recommended item; a tuple, because it is made for every entry of every list.

    Parameters
    ----------
    item : str
        Raw id.
    title : str or None
        Title, where known.
    score : float or None
        Logit; None in the popular list.
    """

    item: str
    title: str | None
    score: float | None = None


def scored_items(
    named: Iterable[tuple[str, str | None]], scores: Iterable[float]
) -> tuple[Scored, ...]:
    """Put raw ids and titles together with scores, as far as there are both."""
    make = tuple.__new__  # Scored() itself takes three times as long
    return tuple(
        [make(Scored, (raw, title, score)) for (raw, title), score in zip(named, scores)]  # noqa: B905 - as said
    )


@dataclass(frozen=True)
class HistoryUse:
    """The use that was made of a given history.

    Parameters
    ----------
    known, unknown : int
        Counts of its distinct items that the bundle knows, and of those that it does not.
    refreshed : bool
        Whether a trained user's row was moved along with it.
    """

    known: int
    unknown: int
    refreshed: bool = False


@dataclass(frozen=True)
class Recommendation:
    """A user's list, best item first.

    Parameters
    ----------
    user : str
        Raw id.
    policy : Policy
        Source of the list.
    items : tuple of Scored
        Best first.
    history : HistoryUse or None
        What became of the history that the request gave; None if it gave none.
    """

    user: str
    policy: Policy
    items: tuple[Scored, ...]
    history: HistoryUse | None = None
