"""How to prepare data: formats, splits and options; light enough for ``--help``."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from ncf.errors import UsageError


class Format(StrEnum):
    """Formats of a ratings file."""

    AUTO = "auto"
    CSV = "csv"
    MOVIELENS = "movielens"
    NCF = "ncf"
    RECBOLE = "recbole"
    PARQUET = "parquet"


class SplitKind(StrEnum):
    """How the test part is chosen."""

    LEAVE_ONE_OUT = "leave-one-out"
    RANDOM = "random"


class Exclude(StrEnum):
    """Which known items of a user are never drawn as a negative of a test case."""

    ALL = "all"
    TRAIN = "train"


@dataclass(frozen=True)
class Options:
    """How to prepare data.

    Parameters
    ----------
    split : SplitKind
        How the test part is chosen; the NCF triple brings its own.
    test_ratio : float
        Share of a random split's test part, in (0, 1).
    min_rating : float or None
        Rows rated lower are left out.
    negatives : int
        Sampled for each test case, at least 1; at most as many as there are items.
    negatives_exclude : Exclude
        ``all``: never a known item of the user; ``train``: the looser protocol, in which other
        test items of the user may be drawn.
    seed : int
        All choices follow from it; at least 0.
    columns : mapping
        Name in the ratings by the toolkit's name of the column, where it is not a usual one.
    keep_spaces : bool
        Whether spaces around ids in delimited text are part of them.
    """

    split: SplitKind = SplitKind.LEAVE_ONE_OUT
    test_ratio: float = 0.2
    min_rating: float | None = None
    negatives: int = 99
    negatives_exclude: Exclude = Exclude.ALL
    seed: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    keep_spaces: bool = False

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 < self.test_ratio < 1:
            raise UsageError(f"`test_ratio` {self.test_ratio} is not between 0 and 1")
        if self.min_rating is not None and not math.isfinite(self.min_rating):
            raise UsageError(f"`min_rating` {self.min_rating} is not a number")
        if self.negatives < 1:
            raise UsageError(f"`negatives` {self.negatives} is less than 1")
        if self.seed < 0:
            raise UsageError(f"`seed` {self.seed} is negative")

    def document(self) -> dict[str, Any]:
        """List all options; how to read the file only where that was said."""
        said = {"columns": dict(self.columns), "keep_spaces": self.keep_spaces}
        rest = {name: value for name, value in asdict(self).items() if name not in said}
        return rest | {name: value for name, value in said.items() if value}
