"""Define the manifests of fetched data sets and of prepared data."""

from collections.abc import Mapping
from dataclasses import dataclass

from ncf.data.options import Format, Options
from ncf.kinds import Kind, Manifest
from ncf.records import optional


@dataclass(frozen=True, kw_only=True)
class DatasetManifest(Manifest):
    """The manifest of a fetched data set, ``dataset.json``.

    Parameters
    ----------
    name : str
        Name, such as ``"ml-100k"``.
    source : str
        Name of the source.
    format : Format
        Format of the ratings file.
    ratings : str
        Name of the ratings file, or prefix of the triple.
    """

    name: str
    source: str
    format: Format
    ratings: str


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Counts of rows read, left out and split.

    Parameters
    ----------
    rows : int
        Rows read.
    under_min_rating : int or None
        Rows with too low a rating; None for an NCF triple, which has no such option.
    duplicates : int
        Rows of a pair that has a later row.
    test_pairs_in_train : int or None
        Pairs of a given split that were left out because a later part (of training, validation,
        test) has them too; pairs of a time split's test part that the user had before.
    order : str
        Source of the order of a user's interactions: ``time``, ``file`` or ``given``.
    test_from : int or None
        First moment of the test part of a time split, Unix milliseconds; None for other splits.
    users_without_test_case : int or None
        Users with one interaction; None if the split is not by users.
    ignored_columns : int or None
        Columns that are not read; None for none.
    trimmed_ids : int or None
        Ids with spaces around them, which were trimmed; None for none.
    users_without_training_pair, items_without_training_pair : int or None
        Users and items with interactions, but none in the training part; None for none.
    train, validation, test : int
        Pairs in each part.
    """

    rows: int
    under_min_rating: int | None = optional()
    duplicates: int
    test_pairs_in_train: int | None = optional()
    order: str
    test_from: int | None = optional()
    users_without_test_case: int | None = optional()
    ignored_columns: int | None = optional()
    trimmed_ids: int | None = optional()
    users_without_training_pair: int | None = optional()
    items_without_training_pair: int | None = optional()
    train: int
    validation: int
    test: int


@dataclass(frozen=True, kw_only=True)
class DataManifest(Manifest):
    """The manifest of prepared data, ``data.json``.

    Parameters
    ----------
    source : mapping
        SHA-256 of each ratings file, by name.
    format : str
        Format of the file, or ``frame``.
    options : Options
        Options of the preparation.
    counts : Counts
        Counts of rows read, left out and split.
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
