"""Figures by the length of the users' histories."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ncf.evaluation.metrics import mean_and_error

_STARTS = np.array([0, 1, 5, 10, 20, 50, 100, 200])
FIGURES = ("hr", "ndcg", "recall")


def by_history(
    values: Mapping[str, npt.NDArray[np.float64]],
    users: npt.NDArray[np.integer],
    lengths: npt.NDArray[np.integer],
) -> list[dict[str, Any]]:
    """Average figures over users whose histories are about as long.

    Parameters
    ----------
    values : mapping
        Value of each case, float64 of shape ``(cases,)``, by name of the figure.
    users : int array of shape (cases,)
        User of each case.
    lengths : int array of shape (all users,)
        Count of each user's training pairs; 0 for a cold user.

    Returns
    -------
    list of dict
        For each segment that has a case: ``history``, such as ``10-19``, or ``cold``; ``users`` and
        ``cases``; and the figures, each with its standard error as ``NAME_se``.

    Examples
    --------
    >>> values = {"hr": np.array([1.0, 0.0, 1.0])}
    >>> found = by_history(values, np.array([0, 1, 2]), np.array([0, 12, 15]))
    >>> [(row["history"], row["users"], row["hr"]) for row in found]
    [('cold', 1, 1.0), ('10-19', 2, 0.5)]
    """
    segment = np.searchsorted(_STARTS, lengths[users], side="right") - 1
    rows = []
    for number in np.unique(segment).tolist():
        inside = segment == number
        row: dict[str, Any] = {
            "history": _name(number),
            "users": np.unique(users[inside]).size,
            "cases": int(np.count_nonzero(inside)),
        }
        for name in FIGURES:
            if name in values:
                row[name], row[f"{name}_se"] = mean_and_error(values[name][inside], users[inside])
        rows.append(row)
    return rows


def _name(number: int) -> str:
    start = int(_STARTS[number])
    if not start:
        return "cold"
    return f"{start}+" if number + 1 == _STARTS.size else f"{start}-{_STARTS[number + 1] - 1}"
