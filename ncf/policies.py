"""Name the policies of lists and of strangers; no imports, so that ``--help`` is quick."""

from enum import StrEnum


class Policy(StrEnum):
    """The source of a list."""

    MODEL = "model"
    POPULAR = "popular"
    HISTORY = "history"


class ColdUser(StrEnum):
    """What a stranger gets from a server."""

    POPULAR = "popular"
    ERROR = "error"


class Strangers(StrEnum):
    """What a batch does with strangers."""

    POPULAR = "popular"
    SKIP = "skip"
