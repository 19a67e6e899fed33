"""Names of the protocols; no imports, so that ``--help`` is quick."""

from enum import StrEnum


class Protocol(StrEnum):
    """The items that a test item is ranked against: a sample, or the whole catalogue."""

    SAMPLED = "sampled"
    FULL = "full"
