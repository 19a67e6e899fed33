"""Read search spaces from TOML, and draw from them."""

from pathlib import Path
from typing import Any

from optuna.trial import Trial

from ncf.errors import ConfigError
from ncf.models.kinds import Variant
from ncf.training.recipe import read_toml, recipe_tables

Choices = dict[str, list[Any] | dict[str, Any]]
"""Choices by dotted key of a recipe: a list of values, or ``low``, ``high`` and ``log``."""

_REMEDY = "give lists of values, or tables such as { low = 1e-4, high = 1e-2, log = true }"


def load_space(path: Path | None, variant: Variant) -> Choices:
    """Read a search space from TOML with the layout of a recipe; None reads the toolkit's own.

    Raises
    ------
    ConfigError
        The file cannot be read or is empty, or a key has neither a list of values nor a range.
    """
    tables = recipe_tables("space", variant) if path is None else read_toml(path)
    space: Choices = {}
    _flatten(tables, "", space, path)
    if not space:
        raise ConfigError("there is nothing to search", where=path, remedy=_REMEDY)
    return space


def draw(trial: Trial, key: str, choices: list[Any] | dict[str, Any]) -> object:
    """Draw the value of one key for a trial."""
    if isinstance(choices, list):
        return trial.suggest_categorical(key, choices)
    low, high, log = choices["low"], choices["high"], choices.get("log", False)
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(key, low, high, log=log)
    return trial.suggest_float(key, low, high, log=log)


def end_of(choices: list[Any] | dict[str, Any], end: int) -> object:
    """Get the first (0) or the last (-1) of some choices, or that end of a range."""
    return choices[end] if isinstance(choices, list) else choices["low" if end == 0 else "high"]


def value_of(document: dict[str, Any], key: str) -> object:
    """Get the value at a dotted key of a recipe; None where a table above it is None."""
    found: Any = document
    for part in key.split("."):
        found = None if found is None else found.get(part)
    return found


def is_choice(choices: list[Any] | dict[str, Any], value: object) -> bool:
    """Whether a value is among some choices, or within a range."""
    if isinstance(choices, list):
        return value in choices
    return isinstance(value, int | float) and choices["low"] <= value <= choices["high"]


def _flatten(tables: dict[str, Any], prefix: str, space: Choices, where: object) -> None:
    for key, value in tables.items():
        name = prefix + key
        if isinstance(value, list) and value:
            space[name] = value
        elif isinstance(value, dict) and {"low", "high"} <= set(value) <= {"low", "high", "log"}:
            _check_range(name, value, where)
            space[name] = value
        elif isinstance(value, dict) and not {"low", "high"} & set(value):
            _flatten(value, f"{name}.", space, where)
        else:
            raise ConfigError(f"{name} = {value!r} is not a choice", where=where, remedy=_REMEDY)


def _check_range(name: str, value: dict[str, Any], where: object) -> None:
    low, high, log = value["low"], value["high"], value.get("log", False)
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    if not numbers or not isinstance(log, bool) or not low <= high or (log and low <= 0):
        raise ConfigError(f"{name} = {value!r} is not a range", where=where, remedy=_REMEDY)
