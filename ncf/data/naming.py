"""Which column is which: by the caller's word, else by usual names; never by a guess."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from ncf.columns import Columns, columns_named, usual_column
from ncf.errors import RatingsError, UsageError

Refuse: TypeAlias = Callable[[str, str], RatingsError]
"""Makes the error of a problem and its remedy, at the place of the names."""

Given: TypeAlias = str | Mapping[str, str | int] | None
"""Columns as callers give them: ``"user=reviewerID,item=asin"``, or a mapping."""

REQUIRED = (Columns.USER_ID, Columns.ITEM_ID)
OPTIONAL = (Columns.RATING, Columns.TIMESTAMP)
NAME_THEM = 'name them: `columns="user=…,item=…"`'
_SHORT = {
    Columns.USER_ID: "user",
    Columns.ITEM_ID: "item",
    Columns.RATING: "rating",
    Columns.TIMESTAMP: "timestamp",
    Columns.PART: "part",
}


@dataclass(frozen=True)
class Wanted:
    """Columns to look for in a file.

    Parameters
    ----------
    expected : str
        The header that the format calls for, for messages.
    required, optional : sequence of str
        Columns that must be there, and that may.
    """

    expected: str
    required: Sequence[str] = REQUIRED
    optional: Sequence[str] = OPTIONAL

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.required, *self.optional)


@dataclass(frozen=True)
class Naming:
    """Columns that the caller named.

    Parameters
    ----------
    names : mapping
        Name in the file, or position from 1 where the file has no header, by column.
    remedy : str
        What to do where a column cannot be told.
    parts : bool
        Whether a column must say which part of the split a row is of.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    remedy: str = NAME_THEM
    parts: bool = False

    def wanted(self, expected: str = "") -> "Wanted":
        """List the columns of ratings to look for; ``expected`` is a header for messages."""
        return Wanted(expected, (*REQUIRED, Columns.PART) if self.parts else REQUIRED)

    @classmethod
    def parse(cls, given: Given) -> "Naming":
        """Read columns as callers give them.

        Raises
        ------
        UsageError
            A part is no ``column=name``, or names no column of ratings.

        Examples
        --------
        >>> dict(Naming.parse("user=reviewerID,item=parent_asin").names)
        {'user_id': 'reviewerID', 'item_id': 'parent_asin'}
        >>> Naming.parse({"user": 1, "item": 2}).positions
        {'user_id': 0, 'item_id': 1}
        """
        if given is None:
            return cls()
        names: dict[str, str] = {}
        for key, name in _parts(given):
            column = usual_column(key)
            if column not in _SHORT:
                raise UsageError(
                    f"`columns` names {key!r}, which is no column of ratings",
                    remedy=f"give any of {', '.join(_SHORT.values())}",
                )
            if column in names or name in names.values():
                raise UsageError(
                    f"`columns` names {key if column in names else name!r} twice",
                    remedy="give each column one name",
                )
            names[column] = name
        return cls(names)

    @property
    def positions(self) -> dict[str, int] | None:
        """Position of each column, from 0, where numbers were given for users and items."""
        return self.positions_of((*REQUIRED, *OPTIONAL, Columns.PART), REQUIRED)

    def positions_of(
        self, columns: Sequence[str], required: Sequence[str]
    ) -> dict[str, int] | None:
        """Position of these columns, from 0, where numbers were given for those required."""
        numbers = all(name.isascii() and name.isdigit() for name in self.names.values())
        if not numbers or not set(required) <= set(self.names):
            return None
        return {name: int(self.names[name]) - 1 for name in columns if name in self.names}

    def locate(self, names: Sequence[str], refuse: Refuse, wanted: "Wanted") -> dict[str, int]:
        """Find the place of each column among the names of a file.

        Parameters
        ----------
        names : sequence of str
            As in the file.
        refuse : callable
            Makes errors.
        wanted : Wanted
            Columns to look for.

        Returns
        -------
        dict
            Position from 0 by column, of those that are there.

        Raises
        ------
        RatingsError
            A column that is needed is not there, or two columns may be it.
        """
        places = {
            column: _place(names, name, refuse)
            for column, name in self.names.items()
            if column in wanted.columns
        }
        taken = set(places.values())
        left = [name for place, name in enumerate(names) if place not in taken]
        for column in wanted.columns:
            if column in places:
                continue
            found = columns_named(column, left)
            if len(found) > 1 or left.count(found[0] if found else "") > 1:
                several = " and ".join(map(repr, dict.fromkeys(found)))
                one = f'name the one you mean: `columns="{_SHORT.get(column, column)}={found[0]}"`'
                remedy = one if self.remedy == NAME_THEM else self.remedy
                raise refuse(f"{several} all match {column}", remedy)
            if found:
                places[column] = list(names).index(found[0])
            elif column in wanted.required:
                raise refuse(f"no column {column!r}", self.remedy)
        return places


@dataclass(frozen=True)
class ReadAs:
    """How to read a file of ratings or ids.

    Parameters
    ----------
    naming : Naming
        Columns that the caller named.
    keep_spaces : bool
        Whether spaces around ids in text are part of them.
    at : Path or None
        Where the bytes are, if not at the path that messages name.
    """

    naming: Naming = field(default_factory=Naming)
    keep_spaces: bool = False
    at: Path | None = None


def known(names: Sequence[str], columns: Sequence[str] = REQUIRED) -> bool:
    """Whether some name is usual for each of these columns."""
    return all(columns_named(column, names) for column in columns)


def _parts(given: str | Mapping[str, str | int]) -> list[tuple[str, str]]:
    if not isinstance(given, str | Mapping):
        raise UsageError(
            f"`columns` is of type {type(given).__name__}",
            remedy='give "user=NAME,item=NAME" or a mapping',
        )
    if isinstance(given, Mapping):
        return [(str(key), str(name)) for key, name in given.items()]
    parts = [part.partition("=") for part in given.split(",")]
    for key, mark, name in parts:
        if not (key.strip() and mark and name.strip()):
            raise UsageError(
                f"`columns` {given!r} is not understood", remedy="give user=NAME,item=NAME"
            )
    return [(key.strip(), name.strip()) for key, _, name in parts]


def _place(names: Sequence[str], name: str, refuse: Refuse) -> int:
    found = [place for place, each in enumerate(names) if each == name]
    found = found or [
        place for place, each in enumerate(names) if each.strip().lower() == name.lower()
    ]
    if len(found) != 1:
        listed = ", ".join(map(repr, names[:12]))
        problem = f"{len(found) or 'no'} columns are called {name!r} among {listed}"
        raise refuse(problem, "give `columns` a name that stands there once")
    return found[0]
