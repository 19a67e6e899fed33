"""What of each simple model is chosen on validation, and what a user may fix."""

import math
from collections.abc import Mapping, Sequence

from scipy import sparse

from ncf.baselines.names import Baseline
from ncf.errors import ConfigError

Values = dict[str, float]

MOST_TRIES = 24
"""Settings that are tried for one model."""

SWEEPS = 16
"""Most sweeps of iALS in one try; validation chooses how many are kept."""

_LADDERS: dict[Baseline, dict[str, Sequence[float]]] = {
    Baseline.POPULAR: {},
    Baseline.ITEM_KNN: {
        "neighbours": (10, 20, 50, 100, 200, 400, 800),
        "shrinkage": (0, 5, 20, 50, 100, 200, 500, 1000),
        "asymmetry": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    },
    Baseline.EASE: {
        "l2": (1, 2, 5, 10, 20, 50, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000)
    },
    Baseline.IALS: {
        "unseen": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0),
        "l2": (0.0003, 0.0007, 0.0015, 0.003, 0.006, 0.012, 0.025, 0.05),
        "factors": (32, 64, 128, 256),
    },
}
_KNN = {"neighbours": 100.0, "shrinkage": 20.0, "asymmetry": 0.5}
_FIXED: dict[Baseline, Values] = {Baseline.IALS: {"exponent": 1.0, "sweeps": SWEEPS, "seed": 0}}
_WHOLE = {"neighbours", "factors", "sweeps", "seed"}
_RANGES: dict[str, tuple[float, float]] = {
    "neighbours": (1, 1_000_000),
    "shrinkage": (0, float("inf")),
    "asymmetry": (0, 1),
    "l2": (1e-12, float("inf")),
    "unseen": (1e-12, 1e6),
    "factors": (1, 4096),
    "exponent": (0, 2),
    "sweeps": (1, 1000),
    "seed": (0, 2**32 - 1),
}


def ladders_of(
    baseline: Baseline, pairs: sparse.csr_array, given: Mapping[str, object], where: object
) -> tuple[dict[str, Sequence[float]], Values]:
    """Find the values to try of each setting, and those to start from.

    Parameters
    ----------
    baseline : Baseline
        The simple model.
    pairs : csr_array of shape (users, items)
        Training pairs: the first try is near what is best on data like them.
    given : mapping
        Settings that the user fixes; they are not chosen.
    where : object
        Their origin, for messages.

    Raises
    ------
    ConfigError
        A setting is unknown, no number, or out of range.
    """
    start = {**_usual(baseline, pairs), **_FIXED.get(baseline, {})}
    for name, value in given.items():
        start[name] = _checked(baseline, name, value, start, where)
    tried = {name: each for name, each in _LADDERS[baseline].items() if name not in given}
    return {name: tried.get(name, (start[name],)) for name in start}, start


def _usual(baseline: Baseline, pairs: sparse.csr_array) -> Values:
    """Give the values to start from.

    The best L2 of EASE grows with the pairs of an item; with the best weight of the
    unseen, those of a user weigh a few times as much as the user's pairs.
    """
    if baseline is Baseline.ITEM_KNN:
        return _KNN
    n_users, n_items = pairs.shape
    if baseline is Baseline.EASE:
        return {"l2": _nearest(baseline, "l2", 4 * pairs.nnz / n_items)}
    if baseline is Baseline.IALS:
        unseen = _nearest(baseline, "unseen", 4 * pairs.nnz / n_users / n_items)
        return {"unseen": unseen, "l2": 0.006, "factors": 64}
    return {}


def _nearest(baseline: Baseline, name: str, value: float) -> float:
    """Find the step of a ladder whose ratio to a value is nearest to one."""
    return min(_LADDERS[baseline][name], key=lambda step: abs(math.log(step / value)))


def _checked(baseline: Baseline, name: str, value: object, known: Values, where: object) -> float:
    if name not in known:
        settings = ", ".join(known) or "none"
        raise ConfigError(
            f"unknown key {name!r} of {baseline.value}", where=where, remedy=f"known: {settings}"
        )
    whole = name in _WHOLE
    kind = int if whole else int | float
    low, high = _RANGES[name]
    if not isinstance(value, kind) or isinstance(value, bool) or not low <= value <= high:
        what = "a whole number" if whole else "a number"
        raise ConfigError(
            f"{name} = {value!r} is not {what} from {low:g} to {high:g}",
            where=where,
            remedy="leave it out, and it is chosen on validation",
        )
    return value
