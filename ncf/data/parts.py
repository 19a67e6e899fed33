"""Parts of a split that somebody else made: which part each row is of."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncf.columns import Columns
from ncf.data.values import Rows
from ncf.errors import RatingsError

PARTS = ("train", "validation", "test")
_CODES = {"train": 0, "validation": 1, "valid": 1, "val": 1, "test": 2}

Parts = npt.NDArray[np.int8]
"""Position in :data:`PARTS` of each row's part."""


def parts_of(column: pa.ChunkedArray, rows: Rows) -> Parts:
    """Read the part of each row.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        ``train``, ``validation`` (or ``valid`` or ``val``) or ``test``, in any case.
    rows : Rows
        Names rows in messages.

    Raises
    ------
    RatingsError
        A value is another one; the message names its row.
    """
    try:
        texts = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        problem = f"column {Columns.PART!r} is {column.type}"
        raise RatingsError(problem, remedy=_remedy()) from error
    found = pc.index_in(texts, value_set=pa.array(list(_CODES)))
    bad = pc.index(pc.is_null(found), value=True).as_py()
    if bad >= 0:
        raise rows.error(bad, f"{Columns.PART} {column[bad].as_py()!r} is no part", _remedy())
    codes: Parts = np.array(list(_CODES.values()), np.int8)[found.to_numpy()]
    return codes


def _remedy() -> str:
    return f"write {', '.join(PARTS[:2])} or {PARTS[2]}"
