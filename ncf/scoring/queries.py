"""What is asked of a recommender and what it answers, in raw ids."""

from dataclasses import dataclass

from ncf.policies import Policy
from ncf.scoring.ranker import check_k


@dataclass(frozen=True)
class Wishes:
    """What a list may hold.

    Parameters
    ----------
    k : int
        Items at most, at least 1.
    exclude : tuple of str
        Raw ids left out; unknown ones have no effect.
    candidates : tuple of str, or None
        Raw ids that alone may be listed; an unknown one is an error.
    include_seen : bool
        Whether seen items may be listed.
    exact : bool
        Whether every item must be scored, although a screen is there.

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

    def __post_init__(self) -> None:
        """Check the length, once for whoever ranks."""
        check_k(self.k)


@dataclass(frozen=True)
class Request:
    """A raw user id, and what the user's list may hold."""

    user: str
    wishes: Wishes


@dataclass(frozen=True)
class Scored:
    """One recommended item.

    Parameters
    ----------
    item : str
        Raw id.
    title : str or None
        Name for people, where known.
    score : float or None
        Logit; None in the popular list.
    """

    item: str
    title: str | None
    score: float | None = None


@dataclass(frozen=True)
class Recommendation:
    """A user's list, best first."""

    user: str
    policy: Policy
    items: tuple[Scored, ...]
