"""How a table is written; light enough for ``--help``."""

from enum import StrEnum


class TableFormat(StrEnum):
    """File format of the parts."""

    PARQUET = "parquet"
    CSV = "csv"


class Layout(StrEnum):
    """One row a user and item, or one row a user with lists."""

    LONG = "long"
    LIST = "list"


class Mode(StrEnum):
    """How users are ranked; ``auto`` screens where that pays and keeps the contract."""

    AUTO = "auto"
    EXACT = "exact"
    SCREENED = "screened"
