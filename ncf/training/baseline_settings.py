"""What of each simple model is chosen on validation, and what a user may fix."""

from collections.abc import Mapping, Sequence

from ncf.baselines.names import Baseline
from ncf.errors import ConfigError

Values = dict[str, float]

MOST_TRIES = 16
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
        "unseen": (0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0),
        "l2": (0.0003, 0.0007, 0.0015, 0.003, 0.006, 0.012, 0.025, 0.05),
        "factors": (32, 64, 128, 256),
    },
}
_START: dict[Baseline, Values] = {
    Baseline.POPULAR: {},
    Baseline.ITEM_KNN: {"neighbours": 100, "shrinkage": 20, "asymmetry": 0.5},
    Baseline.EASE: {"l2": 200},
    Baseline.IALS: {"unseen": 0.2, "l2": 0.006, "factors": 64},
}
_FIXED: dict[Baseline, Values] = {Baseline.IALS: {"exponent": 1.0, "sweeps": SWEEPS, "seed": 0}}
_WHOLE = {"neighbours", "factors", "sweeps", "seed"}
_RANGES: dict[str, tuple[float, float]] = {
    "neighbours": (1, 1_000_000),
    "shrinkage": (0, float("inf")),
    "asymmetry": (0, 1),
    "l2": (1e-12, float("inf")),
    "unseen": (1e-12, float("inf")),
    "factors": (1, 4096),
    "exponent": (0, 2),
    "sweeps": (1, 1000),
    "seed": (0, 2**32 - 1),
}


def ladders_of(
    baseline: Baseline, given: Mapping[str, object], where: object
) -> tuple[dict[str, Sequence[float]], Values]:
    """Find the values to try of each setting, and those to start from.

    Parameters
    ----------
    baseline : Baseline
        The simple model.
    given : mapping
        Settings that the user fixes; they are not chosen.
    where : object
        Their origin, for messages.

    Raises
    ------
    ConfigError
        A setting is unknown, no number, or out of range.
    """
    start = {**_START[baseline], **_FIXED.get(baseline, {})}
    for name, value in given.items():
        start[name] = _checked(baseline, name, value, start, where)
    tried = {name: each for name, each in _LADDERS[baseline].items() if name not in given}
    return {name: tried.get(name, (start[name],)) for name in start}, start


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
