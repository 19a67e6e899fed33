"""Turn filters of a batch into files: files stay, frames and ids go to temporary files."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import pyarrow as pa
import pyarrow.parquet as pq

from batch.filters import Filters
from ncf.api.options import Place
from ncf.columns import Columns
from ncf.data.kinds import is_stream
from ncf.data.naming import Given as Columned
from ncf.data.naming import Naming
from ncf.data.origins import copy_stream
from ncf.errors import UsageError
from ncf.policies import Strangers

if TYPE_CHECKING:
    import pandas as pd

Given: TypeAlias = Union[Place, "pd.DataFrame", "pa.Table", Iterable[object], None]
"""A file of ids, a frame with a column of them, or ids themselves."""

_BOTH = (Columns.USER_ID, Columns.ITEM_ID)
_COLUMNS = {
    "seen": _BOTH,
    "exclude_pairs": _BOTH,
    "users": (Columns.USER_ID,),
    "exclude_items": (Columns.ITEM_ID,),
    "candidates": (Columns.ITEM_ID,),
}


@contextmanager
def filters_of(
    seen: Given,
    users: Given,
    exclude_items: Given,
    candidates: Given,
    exclude_pairs: Given = None,
    *,
    strangers: Strangers | None = None,
    keep_spaces: bool = False,
    refresh: bool = False,
    columns: Columned = None,
) -> Iterator[Filters]:
    """Make files of filters, which exist until the block ends.

    The same ids give the same bytes, so that the same call continues a batch that died.

    Raises
    ------
    RatingsError
        A column is missing, or an id cannot be used.
    """
    naming = Naming.parse(columns)
    given = {"seen": seen, "users": users, "exclude_items": exclude_items}
    given |= {"candidates": candidates, "exclude_pairs": exclude_pairs}
    plain = {name for name, each in given.items() if not isinstance(each, str | Path | None)}
    in_memory = bool(plain) or any(map(_pipe, given.values()))
    # Files are not copied: a batch must not fail because the temporary folder is full.
    with tempfile.TemporaryDirectory(prefix="ncf-") if in_memory else nullcontext("") as scratch:
        folder = Path(scratch)
        files = {name: _file(given[name], _COLUMNS[name], folder / name, naming) for name in given}
        yield Filters(
            **files,
            strangers=strangers,
            keep_spaces=keep_spaces,
            refresh=refresh,
            columns=naming.names,
            plain=frozenset(plain),
        )


@contextmanager
def pairs_file(given: Given, name: str) -> Iterator[Path]:
    """Make a file of pairs, which exists until the block ends.

    Raises
    ------
    UsageError
        No pairs are given.
    RatingsError
        A column is missing, or an id cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="ncf-") as scratch:
        path = _file(given, _BOTH, Path(scratch) / name, Naming())
        if path is None:
            raise UsageError(f"`{name}` is missing", remedy="give a file or a frame")
        yield path


def _file(  # as filters_of takes it
    given: Any,  # noqa: ANN401
    columns: tuple[str, ...],
    aside: Path,
    naming: Naming,
) -> Path | None:
    if given is None:
        return None
    if isinstance(given, str | Path):
        return copy_stream(Path(given), aside) if _pipe(given) else Path(given)
    from ncf.data.frames import Frame, read_ids_of  # needs pandas, which files do not
    from ncf.data.raw_ids import raw_ids

    if isinstance(given, Frame):
        table = pa.table({name: read_ids_of(given, name, naming) for name in columns})
    else:
        table = pa.table({columns[0]: pa.array(raw_ids(given, aside.name), pa.string())})
    pq.write_table(table, aside)
    return aside


def _pipe(given: object) -> bool:
    return isinstance(given, str | Path) and is_stream(Path(given))
