"""Figures that a call returns: to read, to look up by name, and as a frame."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class Figures(Mapping[str, Any]):
    """A mapping of figures by name, shown with one on each line.

    Parameters
    ----------
    values : mapping
        Numbers, texts and mappings of these, by name.

    Examples
    --------
    >>> figures = Figures({"users": 943, "peak_memory": 0.25, "by_policy": {"model": 943}})
    >>> figures["users"]
    943
    >>> figures
    users        943
    peak memory  0.25
    by policy    model 943
    >>> figures.frame()
       users  peak_memory  by_policy.model
    0    943         0.25              943
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - figures are of many types
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return "\n".join(lines_of(self._values))

    def frame(self) -> "pd.DataFrame":
        """Make a frame of one row; names of nested figures are joined by a dot."""
        import pandas as pd  # loaded only for a frame

        return pd.json_normalize(dict(self._values))


def lines_of(figures: Mapping[str, object]) -> list[str]:
    """Write figures, one on each line, with names in a column.

    Examples
    --------
    >>> lines_of({"users": 943, "rows": 9430})
    ['users  943', 'rows   9,430']
    """
    width = max(map(len, figures), default=0)
    return [
        f"{name.replace('_', ' '):{width}}  {_readable(value)}" for name, value in figures.items()
    ]


def _readable(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_readable(each)}" for name, each in value.items())
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
