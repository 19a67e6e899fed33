"""Names of the protocols; light enough for ``--help``."""

from enum import StrEnum


class Protocol(StrEnum):
    """What a test item is ranked against."""

    SAMPLED = "sampled"
    FULL = "full"
