"""Filters of a table: files of users and items; imports little, so that ``--help`` is quick."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ncf.policies import Strangers


@dataclass(frozen=True)
class Filters:
    """Files that choose users and items of a table; each is optional.

    Parameters
    ----------
    seen : Path
        Interactions since the export, of trained users and of strangers.
    users : Path
        The only users who get a list.
    exclude_items : Path
        Items that are not listed.
    candidates : Path
        The only items that may be listed.
    strangers : Strangers
        What strangers get; if not given, as the bundle was exported (they are skipped if it
        refuses them).
    keep_spaces : bool
        Whether spaces around ids in delimited text are part of them.
    exclude_pairs : Path
        Pairs of a user and an item that is not listed for this user, though nothing says that
        they took it: returned, disliked, bought elsewhere.
    refresh : bool
        Whether rows of trained users move along with their interactions since the export.
    columns : mapping
        Name of each column that the caller named, in the files.
    plain : frozenset of str
        Options whose file was made from a frame or from ids: its columns have our names.
    """

    seen: Path | None = None
    users: Path | None = None
    exclude_items: Path | None = None
    candidates: Path | None = None
    strangers: Strangers | None = None
    keep_spaces: bool = False
    exclude_pairs: Path | None = None
    refresh: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    plain: frozenset[str] = frozenset()

    def files(self) -> dict[str, Path]:
        """Give the files by the names of their options."""
        every = {
            "seen": self.seen,
            "users": self.users,
            "exclude_items": self.exclude_items,
            "candidates": self.candidates,
            "exclude_pairs": self.exclude_pairs,
        }
        return {name: path for name, path in every.items() if path is not None}
