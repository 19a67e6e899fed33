"""What the manifests of a fetched data set and of prepared data say."""

from collections.abc import Mapping
from dataclasses import dataclass

from ncf.artifacts import Kind, Manifest
from ncf.data.options import Format, Options
from ncf.records import optional


@dataclass(frozen=True, kw_only=True)
class DatasetManifest(Manifest):
    """What ``dataset.json`` says.

    Parameters
    ----------
    name : str
        Such as ``"ml-100k"``.
    source : str
        Where it came from.
    format : Format
        What the ratings file looks like.
    ratings : str
        Name of the ratings file, or prefix of the triple.
    """

    name: str
    source: str
    format: Format
    ratings: str


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What was read, left out and split.

    Parameters
    ----------
    rows : int
        Rows that were read.
    under_min_rating : int or None
        Rows that were rated too low; None for an NCF triple, which has no such option.
    duplicates : int
        Rows of a pair that has a later one.
    test_pairs_in_train : int or None
        Training pairs of an NCF triple that are test pairs too, and were left out.
    order : str
        What the order of a user's interactions is taken from: ``time``, ``file`` or ``given``.
    users_without_test_case : int or None
        Users with one interaction; None where the split does not go by users.
    train, validation, test : int
        Pairs of each part.
    """

    rows: int
    under_min_rating: int | None = optional()
    duplicates: int
    test_pairs_in_train: int | None = optional()
    order: str
    users_without_test_case: int | None = optional()
    train: int
    validation: int
    test: int


@dataclass(frozen=True, kw_only=True)
class DataManifest(Manifest):
    """What ``data.json`` says.

    Parameters
    ----------
    source : mapping
        SHA-256 of each ratings file, by name.
    format : str
        What the file looked like, or ``frame``.
    options : Options
        How it was prepared.
    counts : Counts
        What was read, left out and split.
    n_users, n_items : int
        Sizes of the id maps.
    """

    source: Mapping[str, str]
    format: str
    options: Options
    counts: Counts
    n_users: int
    n_items: int


DATASET = Kind(
    "fetched data set",
    "dataset.json",
    1,
    "fetch it with 'ncf data fetch'",
    DatasetManifest,
    r"titles\.csv|.+\.(data|dat|inter|rating|negative)",
)
DATA = Kind(
    "prepared data",
    "data.json",
    1,
    "make it with 'ncf data prepare'",
    DataManifest,
    r"(train|validation|test|users|items)\.parquet|(validation|test)_negatives\.npy",
)
