"""Turn pairs into integer keys, so that pairs can be sorted, counted and looked up."""

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.int64]


def pair_keys(rows: npt.NDArray[np.integer], columns: npt.NDArray[np.integer], width: int) -> Keys:
    """Turn pairs into their positions in a table of ``width`` columns, counted row by row.

    Keys order pairs by row, then by column. A negative column, which pads lists, gives a key of
    the row before; callers must leave out pads afterwards.

    Parameters
    ----------
    rows : int array
        Rows, such as user indices or positions in a block of users.
    columns : int array
        Columns, such as item indices below ``width``; the shape must broadcast with ``rows``.
    width : int
        Number of columns, such as the size of the catalogue.

    Examples
    --------
    >>> pair_keys(np.array([0, 2]), np.array([3, 1]), 10)
    array([ 3, 21])
    """
    keys: Keys = rows.astype(np.int64) * width + columns
    return keys


def split_keys(keys: Keys, width: int) -> tuple[Keys, Keys]:
    """Turn keys back into rows and columns.

    Examples
    --------
    >>> split_keys(np.array([3, 21]), 10)
    (array([0, 2]), array([3, 1]))
    """
    rows, columns = np.divmod(keys, width)
    return rows, columns


def distinct(keys: Keys) -> Keys:
    """Sort keys, each once.

    NumPy's ``unique`` (2.3 and later) hashes, which takes twenty times as long for millions of
    keys.

    Examples
    --------
    >>> distinct(np.array([21, 3, 21]))
    array([ 3, 21])
    """
    ordered: Keys = np.sort(keys)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if ordered.size else ordered


def among(keys: Keys, ascending: Keys) -> npt.NDArray[np.bool_]:
    """Find which keys are among others, which must be ascending.

    Examples
    --------
    >>> among(np.array([3, 5, 21]), np.array([3, 21]))
    array([ True, False,  True])
    """
    if not ascending.size:
        return np.zeros(keys.shape, np.bool_)
    places = np.minimum(np.searchsorted(ascending, keys), ascending.size - 1)
    found: npt.NDArray[np.bool_] = ascending[places] == keys
    return found
