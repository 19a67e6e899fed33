"""Ratings as callers give them: a file, a frame, a fetched data set, or the parts of a split."""

from typing import TYPE_CHECKING, Any, TypeAlias, Union

from ncf.api.options import Place, folder
from ncf.api.tables import is_frame
from ncf.data.datasets import FetchedDataset
from ncf.data.given import GivenParts
from ncf.data.options import SplitKind
from ncf.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Ratings: TypeAlias = Union[Place, FetchedDataset, "pd.DataFrame", "pa.Table"]
"""Ratings: a file, a fetched data set, a pandas DataFrame or an Arrow table."""

Rows: TypeAlias = Union[Place, "pd.DataFrame", "pa.Table"]
"""Ratings of one part: a file or a frame."""


def given_parts(
    ratings: Ratings | None,
    train: Rows | None,
    test: Rows | None,
    validation: Rows | None,
    split: str | None,
) -> GivenParts | None:
    """Collect the parts of a given split, if there are any.

    Raises
    ------
    UsageError
        Parts are missing, or something else is given with them.
    """
    if all(part is None for part in (train, test, validation)):
        if ratings is None:
            raise UsageError("nothing to prepare", remedy="give `ratings`, or `train` and `test`")
        return None
    if ratings is not None:
        raise UsageError("`ratings` and parts exclude each other", remedy="give one of them")
    if train is None or test is None:
        raise UsageError("a part is missing", remedy="give `train` and `test` at least")
    if split not in {None, SplitKind.GIVEN}:
        raise UsageError("`split` does not apply to given parts", remedy="leave it out")
    rest = None if validation is None else path_or_frame(validation, "validation")
    return GivenParts(path_or_frame(train, "train"), path_or_frame(test, "test"), rest)


def path_or_frame(given: Any, name: str) -> Any:  # noqa: ANN401 - a path or a frame, as it was given
    """Return a frame as it is, and anything else as a path."""
    return given if is_frame(given) else folder(given, name)
