"""Gates: limits on the figures of a table, of its change, and their file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch.matching import Matching
from batch.profile import Catalogue, Profile
from ncf.errors import ConfigError

TABLE, RATIO, CHANGE = "table", "ratio", "change"
COUNTS = ("unknown_users", "cold_users", "cold_share", "seen_rows", "seen_unknown_share")
CHANGES = ("added_share", "gone_share", "to_popular_share", "same_seen")

DEFAULT = """\
# Gates of a table: a run that fails one of them is set aside, and LATEST stays.
#
#     ncf batch --bundle model_store/ncf --gate gates.toml
#
# A limit is {min = …}, {max = …} or both; a figure that the run does not have fails its gate.
# 'ncf diff' prints the figures; docs/before-publishing.md says what they are. Shares are in [0, 1].

[table]                               # the new table alone
users = {min = 1}
popular_share = {max = 0.5}           # users who get the popular list
constant_lists = {max = 0.01}         # scored lists whose scores are all equal
top_percent_share = {max = 0.9}       # places that the most listed percent of items has
# coverage = {min = 0.05}             # items of the catalogue in any list
# cold_share = {max = 0.2}            # users whom the model has not learned, or does not know
# seen_unknown_share = {max = 0.05}   # rows of --seen of items that the bundle does not know

[ratio]                               # the figure over that of the run that LATEST names
users = {min = 0.9, max = 1.5}
rows = {min = 0.9, max = 1.5}
items = {min = 0.7}                   # a model that collapsed onto a few items
# seen_rows = {min = 0.5}

[change]                              # from the run that LATEST names to the new one
"overlap.mean" = {min = 0.25}         # a shuffled id map, a retraining that moved every list
gone_share = {max = 0.1}              # users of the old table who are not in the new one
to_popular_share = {max = 0.1}        # users of both who lost a list of their own
same_seen = {max = 0}                 # 1 if --seen is the file of an earlier day
"""
"""What ``ncf init gates`` prints."""


@dataclass(frozen=True)
class Gate:
    """A limit on one figure of a table, or of its change.

    Parameters
    ----------
    section : str
        ``table``, ``ratio`` or ``change``.
    figure : str
        Dotted name of the figure.
    least, most : float or None
        Limits, which the figure may have itself.
    """

    section: str
    figure: str
    least: float | None = None
    most: float | None = None

    def passes(self, value: float | None) -> bool:
        """Whether a value is within the limits; none is not."""
        if value is None:
            return False
        above = self.least is None or value >= self.least
        return above and (self.most is None or value <= self.most)

    def said(self, value: float | None) -> str:
        """Say in one line why a value does not pass."""
        name = f"{self.section} {self.figure}"
        if value is None:
            return f"{name}: the run has no such figure"
        if self.least is not None and value < self.least:
            return f"{name}: {value:.6g} is below {self.least:.6g}"
        return f"{name}: {value:.6g} is above {self.most:.6g}"


Gates = tuple[Gate, ...]


def read_gates(path: Path) -> Gates:
    """Read a file of gates.

    Raises
    ------
    ConfigError
        It is no TOML, or names a figure or a limit that there is not.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read ({error})", where=path, remedy=_REMEDY) from error
    known, found = known_figures(), []
    for section, figures in document.items():
        if section not in known or not isinstance(figures, Mapping):
            raise ConfigError(f"has an unknown section {section!r}", where=path, remedy=_REMEDY)
        for figure, limits in _limits(figures, ""):
            if figure not in known[section]:
                raise ConfigError(
                    f"[{section}] has an unknown figure {figure!r}", where=path, remedy=_REMEDY
                )
            found.append(_gate(path, section, figure, limits))
    if not found:
        raise ConfigError("has no gate", where=path, remedy=_REMEDY)
    return tuple(found)


_REMEDY = "'ncf init gates' prints a file that is right"


def known_figures() -> dict[str, set[str]]:
    """Name the figures that each section may limit."""
    table = {*flat(Profile().figures(Catalogue(0))), *COUNTS}
    change = {*flat(Matching(1, 0).figures()), *CHANGES}
    return {TABLE: table, RATIO: table, CHANGE: change}


def flat(figures: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Name nested figures by dotted names.

    Examples
    --------
    >>> flat({"k": 5, "overlap": {"mean": 0.5}})
    {'k': 5, 'overlap.mean': 0.5}
    """
    found: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = value
    return found


def _limits(figures: Mapping[str, Any], above: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in figures.items():
        nested = isinstance(value, Mapping) and any(isinstance(v, Mapping) for v in value.values())
        found += _limits(value, f"{above}{name}.") if nested else [(f"{above}{name}", value)]
    return found


def _gate(path: Path, section: str, figure: str, limits: object) -> Gate:
    sound = isinstance(limits, Mapping) and limits and limits.keys() <= {"min", "max"}
    if sound and isinstance(limits, Mapping):
        values = [limits.get(name) for name in ("min", "max")]
        if all(v is None or (isinstance(v, int | float) and v == v) for v in values):  # noqa: PLR0124
            return Gate(section, figure, *values)
    raise ConfigError(
        f"[{section}] {figure} has other limits than numbers `min` and `max`",
        where=path,
        remedy=_REMEDY,
    )
