"""Where a user's list comes from, and what strangers get; light enough for ``--help``."""

from enum import StrEnum


class Policy(StrEnum):
    """Where a list comes from."""

    MODEL = "model"
    POPULAR = "popular"


class ColdUser(StrEnum):
    """What a user whom the model does not know gets."""

    POPULAR = "popular"
    ERROR = "error"


class Strangers(StrEnum):
    """What a batch does with users whom the model does not know."""

    POPULAR = "popular"
    SKIP = "skip"
