"""Tables as callers in Python give them: a file, a frame, or a mapping."""

from pathlib import Path
from typing import Any

from ncf.data.titles import read_titles
from ncf.errors import UsageError


def read_given_titles(
    titles: Any,  # noqa: ANN401 - as ncf.prepare declares it
    *,
    keep_spaces: bool,
) -> dict[str, str] | None:
    """Read titles out of a file, a frame or a mapping; None if not given."""
    if titles is None:
        return None
    if isinstance(titles, str | Path):
        return read_titles(Path(titles), keep_spaces=keep_spaces)
    from ncf.data.frames import read_titles_of  # pandas, which files do without

    return read_titles_of(titles)


def is_frame(ratings: Any) -> bool:  # noqa: ANN401 - as ncf.prepare declares it
    """Whether ratings are a frame, found out without importing pandas for a path."""
    if isinstance(ratings, str | Path):
        return False
    import pandas as pd
    import pyarrow as pa

    if not isinstance(ratings, pd.DataFrame | pa.Table):
        raise UsageError(
            f"`ratings` is of type {type(ratings).__name__}",
            remedy="give a path, a pandas DataFrame or an Arrow table",
        )
    return True
