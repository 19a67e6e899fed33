"""Files that shape a table: who gets a list, and of which items; light enough for ``--help``."""

from dataclasses import dataclass
from pathlib import Path

from ncf.policies import Strangers


@dataclass(frozen=True)
class Filters:
    """Files that shape the table; each may be left out.

    Parameters
    ----------
    seen : Path
        Interactions since the export, of known users and of strangers.
    users : Path
        The only users who get a list.
    exclude_items : Path
        Items that nobody gets.
    candidates : Path
        The only items that anybody gets.
    strangers : Strangers
        What users get whom the model does not know; if not given, what the bundle was exported
        with (skipped where it refuses them).
    keep_spaces : bool
        Whether spaces around ids in delimited text are part of them.
    """

    seen: Path | None = None
    users: Path | None = None
    exclude_items: Path | None = None
    candidates: Path | None = None
    strangers: Strangers | None = None
    keep_spaces: bool = False

    def files(self) -> dict[str, Path]:
        """Name the given files by option."""
        every = {
            "seen": self.seen,
            "users": self.users,
            "exclude_items": self.exclude_items,
            "candidates": self.candidates,
        }
        return {name: path for name, path in every.items() if path is not None}
