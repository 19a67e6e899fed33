"""Names of the simple models; no imports, so that ``--help`` is quick."""

from enum import StrEnum


class Baseline(StrEnum):
    """The simple models that ``ncf train --model`` makes, beside the networks."""

    POPULAR = "popular"
    ITEM_KNN = "item-knn"
    EASE = "ease"
    IALS = "ials"

    @property
    def has_rows(self) -> bool:
        """Whether it has a row of numbers for each user and item, as a GMF has: it is exported."""
        return self in {Baseline.POPULAR, Baseline.IALS}
