"""Formats, splits and options of data preparation; imports little, so that ``--help`` is quick."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from ncf.errors import UsageError
from ncf.records import optional


class Format(StrEnum):
    """Formats of a ratings file."""

    AUTO = "auto"
    CSV = "csv"
    MOVIELENS = "movielens"
    NCF = "ncf"
    RECBOLE = "recbole"
    PARQUET = "parquet"


class SplitKind(StrEnum):
    """Ways to choose the test part."""

    LEAVE_ONE_OUT = "leave-one-out"
    RANDOM = "random"
    TIME = "time"
    GIVEN = "given"
    NONE = "none"


class Exclude(StrEnum):
    """Which of a user's items are never drawn as negatives of a test case."""

    ALL = "all"
    TRAIN = "train"


@dataclass(frozen=True)
class Options:
    """Options of data preparation, checked when they are made.

    Parameters
    ----------
    split : SplitKind
        How the test part is chosen; the NCF triple brings its own, as other given splits do, and
        ``none`` makes no test part.
    test_ratio : float
        Share of interactions that a random split takes as the test part, or the latest share of a
        time split without ``test_from``; in (0, 1).
    min_rating : float or None
        Rows with a lower rating are left out.
    negatives : int
        Number sampled for each test case, at least 1; at most as many as there are items.
    negatives_exclude : Exclude
        ``all`` never draws an item that the user has interacted with; ``train`` is the looser
        protocol, which may draw other test items of the user.
    seed : int
            Seeds all random choices; at least 0.
        columns : mapping or None
        Name in the ratings by the toolkit's name of the column, where it is not a usual one.
    keep_spaces : bool or None
        Whether spaces around ids in delimited text are part of them.
    test_from : str or None
        First moment of the test part of a time split, ISO 8601 with a zone.
    """

    split: SplitKind = SplitKind.LEAVE_ONE_OUT
    test_ratio: float = 0.2
    min_rating: float | None = None
    negatives: int = 99
    negatives_exclude: Exclude = Exclude.ALL
    seed: int = 0
    columns: Mapping[str, str] | None = optional()
    keep_spaces: bool | None = optional()
    test_from: str | None = optional()

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 < self.test_ratio < 1:
            raise UsageError(f"`test_ratio` {self.test_ratio} is not between 0 and 1")
        if self.test_from is not None and self.split is not SplitKind.TIME:
            raise UsageError(
                "`test_from` applies to a time split alone", remedy='give `split="time"`'
            )
        if self.min_rating is not None and not math.isfinite(self.min_rating):
            raise UsageError(f"`min_rating` {self.min_rating} is not a number")
        if self.negatives < 1:
            raise UsageError(f"`negatives` {self.negatives} is less than 1")
        if self.seed < 0:
            raise UsageError(f"`seed` {self.seed} is negative")


def moment_of(text: str) -> str:
    """Read a moment: ISO 8601, in UTC if it has no zone, or Unix seconds; give it with its zone.

    Raises
    ------
    UsageError
        It is neither.

    Examples
    --------
    >>> moment_of("1998-03-01"), moment_of("888710400")
    ('1998-03-01T00:00:00+00:00', '1998-03-01T00:00:00+00:00')
    """
    try:
        found = datetime.fromtimestamp(float(text), UTC)
    except (ValueError, OverflowError, OSError):
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(
                f"`test_from` {text!r} is no moment", remedy="give a date such as 1998-03-01"
            ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()
