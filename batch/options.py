"""Options of a table and of a batch; no imports, so that ``--help`` is quick."""

from enum import StrEnum


class TableFormat(StrEnum):
    """File format of the parts."""

    PARQUET = "parquet"
    CSV = "csv"


class Layout(StrEnum):
    """One row for each user and item, or one row with lists for each user."""

    LONG = "long"
    LIST = "list"


class Mode(StrEnum):
    """Ways to rank; ``auto`` screens if that is faster and can keep the recall contract."""

    AUTO = "auto"
    EXACT = "exact"
    SCREENED = "screened"


class EngineName(StrEnum):
    """What makes the parts: threads of this machine, or tasks of a cluster."""

    THREADS = "threads"
    RAY = "ray"
    SPARK = "spark"
