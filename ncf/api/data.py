"""Prepare ratings: map ids, split, and sample negatives."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncf.api.figures import Figures
from ncf.api.options import Place, chosen, folder
from ncf.api.sources import Ratings, Rows, given_parts, path_or_frame
from ncf.api.tables import read_given_titles
from ncf.artifacts import read_manifest
from ncf.columns import Columns
from ncf.data import datasets
from ncf.data import prepare as preparing
from ncf.data.datasets import FetchedDataset
from ncf.data.manifests import DATA
from ncf.data.naming import Naming
from ncf.data.options import Exclude, Format, Options, SplitKind, moment_of
from ncf.data.parts import PARTS
from ncf.data.prepared import PreparedData, figures_of
from ncf.data.prepared import open_data as open_prepared
from ncf.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_USUAL = SplitKind.LEAVE_ONE_OUT


class Data:
    """Prepared data, in a folder that :func:`ncf.prepare` made.

    Parameters
    ----------
    path : Path
        Folder of the data.
    figures : Figures
        Counts of rows read, left out and split, and the data's digest.

    Examples
    --------
    >>> data
    Data('data/mine': 40 users, 30 items, 320 train, 40 validation, 40 test)
    >>> data.frame().head(2)
      user_id  item_id   part
    0      u0   film 6  train
    1      u0  film 20  train
    """

    def __init__(self, path: Path, figures: Mapping[str, Any]) -> None:
        self.path = path
        self.figures = Figures(figures)

    def __repr__(self) -> str:
        counts = [f"{self.figures[name]:,} {name}" for name in ("users", "items", *PARTS)]
        return f"Data({str(self.path)!r}: {', '.join(counts)})"

    @property
    def digest(self) -> str:
        """Digest of all the data, 64 hex digits."""
        return str(self.figures["digest"])

    @cached_property
    def prepared(self) -> PreparedData:
        """Read the data by index, as training and evaluation use it; every digest is checked."""
        return open_prepared(self.path)

    def frame(self) -> "pd.DataFrame":
        """List all interactions: ``user_id``, ``item_id`` and ``part``.

        Examples
        --------
        >>> data.frame().part.value_counts().to_dict()
        {'train': 320, 'validation': 40, 'test': 40}
        """
        import numpy as np  # loaded only for a frame
        import pandas as pd

        found = self.prepared
        users, items = np.array(list(found.users.raw)), np.array(list(found.items.raw))
        pairs = [found.train, found.validation.positives, found.test.positives]
        frames = [
            pd.DataFrame(
                {
                    Columns.USER_ID: users[each.users],
                    Columns.ITEM_ID: items[each.items],
                    "part": part,
                }
            )
            for part, each in zip(PARTS, pairs, strict=True)
        ]
        return pd.concat(frames, ignore_index=True)


def prepare(
    ratings: Ratings | None = None,
    *,
    out: Place,
    train: "Rows | None" = None,
    test: "Rows | None" = None,
    validation: "Rows | None" = None,
    format: str = "auto",
    columns: "str | Mapping[str, str | int] | None" = None,
    keep_spaces: bool = False,
    titles: "Place | pd.DataFrame | pa.Table | Mapping[Any, str] | None" = None,
    split: str | None = None,
    test_ratio: float = 0.2,
    test_from: str | None = None,
    min_rating: float | None = None,
    negatives: int = 99,
    negatives_exclude: str = "all",
    seed: int = 0,
) -> Data:
    """Split ratings and draw negatives; the same input gives the same bytes.

    Parameters
    ----------
    ratings : str, Path, DataFrame, pyarrow.Table or FetchedDataset
        A file, a frame, or the result of :func:`ncf.fetch`. Columns have usual names
        (``userId``, ``user``, ``movieId``, ``item``, ``asin``, ...); other columns are ignored.
    out : str or Path
        Folder to write; replaced as a whole.
    train, test, validation : str, Path, DataFrame or pyarrow.Table, optional
        Parts of a split that somebody else made, instead of ``ratings``. Without a validation
        part one is cut from training.
    format : {"auto", "csv", "movielens", "ncf", "recbole", "parquet"}
        What a file looks like; found out from its first line if not given. Parquet is known by
        itself, whatever this says.
    columns : str or mapping, optional
        Names of columns that are not usual ones, as ``"user=reviewerID,item=parent_asin"`` or
        ``{"user": "reviewerID"}``; in a file without header, positions from 1.
    keep_spaces : bool
        Leave spaces around ids of delimited text, which are cut off otherwise.
    titles : str, Path, DataFrame, pyarrow.Table or mapping, optional
        Titles of items: a CSV or a frame with a column of items and one of titles, or a mapping
        from item to title.
    split : {"leave-one-out", "random", "time", "given", "none"}, optional
        Way to choose the test part; leave-one-out if not given. ``given`` takes the parts from a
        column ``part`` (train, validation, test); ``time`` splits at one moment for all users, so
        that nothing later than it is trained on; ``none`` makes no test part. An NCF triple has
        its own. Of given parts no negatives are drawn: they are evaluated by full ranking.
    test_ratio : float
        Share of the test part in a random split, or the latest share in a time split, in (0, 1).
    test_from : str, optional
        First moment of the test part of a time split: a date or time in ISO 8601, UTC if it has no
        zone, or Unix seconds; the latest ``test_ratio`` of all interactions if not given.
    min_rating : float, optional
        Pairs whose latest rating is lower are left out.
    negatives : int
        Number sampled for each test case.
    negatives_exclude : {"all", "train"}
        Which items of a user are never drawn: all, or those of the training part.
    seed : int
        Seed of all random choices.

    Raises
    ------
    RatingsError
        The ratings cannot be read as they stand; the message names the line or the row.
    UsageError
        Options are out of range or exclude each other.

    Examples
    --------
    >>> import pandas as pd
    >>> ratings = pd.DataFrame({
    ...     "userId": [1, 1, 1, 2, 2, 2, 3, 3, 3],
    ...     "movieId": [10, 20, 30, 20, 30, 40, 10, 30, 40],
    ...     "timestamp": [100, 101, 102, 100, 101, 102, 100, 101, 102],
    ... })
    >>> ncf.prepare(ratings, out="data/tiny", negatives=1)
    Data('data/tiny': 3 users, 4 items, 3 train, 3 validation, 3 test)
    """
    file_format = chosen(Format, format, "format")
    parts = given_parts(ratings, train, test, validation, split)
    if isinstance(ratings, FetchedDataset):
        file_format, titles = ratings.file_format, titles or ratings.titles
        ratings = ratings.ratings
    if file_format is Format.NCF and (split is not None or parts):
        raise UsageError("`split` does not apply to an NCF triple", remedy="leave it out")
    options = Options(
        split=chosen(SplitKind, split or (SplitKind.GIVEN if parts else _USUAL), "split"),
        test_ratio=test_ratio,
        min_rating=min_rating,
        negatives=negatives,
        negatives_exclude=chosen(Exclude, negatives_exclude, "negatives_exclude"),
        seed=seed,
        columns=Naming.parse(columns).names or None,
        keep_spaces=keep_spaces or None,
        test_from=None if test_from is None else moment_of(str(test_from)),
    )
    target, named = folder(out, "out"), read_given_titles(titles, keep_spaces=keep_spaces)
    rows = parts or path_or_frame(ratings, "ratings")
    return Data(target, preparing.prepare(rows, file_format, target, options, named))


def open_data(path: Place) -> Data:
    """Open data that was prepared earlier; every digest is checked.

    Raises
    ------
    ArtifactError
        Something is missing or damaged.

    Examples
    --------
    >>> ncf.open_data("data/mine").figures["train"]
    320
    """
    data = as_data(path)
    _ = data.prepared
    return data


def as_data(data: Data | Place) -> Data:
    """Return data as it is, or open the folder that holds it."""
    if isinstance(data, Data):
        return data
    path = folder(data, "data")
    manifest = read_manifest(path, DATA)
    return Data(path, figures_of(manifest, manifest.digest))


def fetch(dataset: str, *, cache: Place = "data/raw") -> FetchedDataset:
    """Fetch a public data set unless it is here already, and check it against pinned checksums.

    Parameters
    ----------
    dataset : {"ml-100k", "ml-1m", "pinterest-20"}
        Name of the data set.
    cache : str or Path
        Folder of fetched data sets.

    Raises
    ------
    UsageError, SourceError
        The name is unknown, or no source can be reached.

    Examples
    --------
    >>> ncf.fetch("ml-25m")
    Traceback (most recent call last):
    ncf.errors.UsageError: unknown data set 'ml-25m'; known are ml-100k, ml-1m, pinterest-20
    >>> ncf.prepare(ncf.fetch("ml-100k"), out="data/ml-100k")  # doctest: +SKIP
    Data('data/ml-100k': 943 users, 1,682 items, 98,114 train, 943 validation, 943 test)
    """
    return datasets.open_dataset(datasets.fetch(dataset, folder(cache, "cache")))
