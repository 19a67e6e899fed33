"""The unfinished run: parts that a death leaves behind, and the same command takes up again."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from batch.manifest import Identity
from batch.notes import Note, note_bytes, read_note
from batch.runs import RUN_NAME
from ncf.artifacts import canonical_json
from ncf.errors import StorageError
from ncf.files import atomic_file, storage_errors, sweep
from ncf.records import json_values

_IDENTITY = "identity.json"
_NAME = "name"
_OURS = {_IDENTITY, _NAME, "parts", "notes"}


@dataclass(frozen=True)
class Unfinished:
    """Parts finished so far, and a note beside each; the caller holds the output's lock.

    Parameters
    ----------
    folder : Path
        Where they lie until the parts are published.
    """

    folder: Path

    @classmethod
    def open(cls, folder: Path, identity: Identity, forget: Callable[[str], None]) -> "Unfinished":
        """Take up the work on the same inputs, or begin anew.

        Parameters
        ----------
        folder : Path
            Where it lies.
        identity : Identity
            Everything that decides the bytes of the parts.
        forget : callable
            Told the name under which abandoned work had begun to be published.
        """
        work = cls(folder)
        wanted, found = canonical_json(json_values(identity)), folder / _IDENTITY
        with storage_errors(folder):
            if not found.is_file() or found.read_bytes() != wanted:
                work._require_ours()
                if (name := work._chosen_name()) is not None:
                    forget(name)
                if folder.exists():
                    shutil.rmtree(folder)
                work.parts.mkdir(parents=True)
                work.notes.mkdir()
                with atomic_file(found) as file:
                    file.write(wanted)
            for place in (work.folder, work.parts, work.notes):
                sweep(place, ".*")
        return work

    @property
    def parts(self) -> Path:
        """Folder that becomes the run."""
        return self.folder / "parts"

    @property
    def notes(self) -> Path:
        """Folder of what is known of each part."""
        return self.folder / "notes"

    def finish(self, name: str, make: Callable[[BinaryIO], Note]) -> tuple[Note, bool]:
        """Tell what is known of a part, and make it unless it is here, whole.

        Returns
        -------
        note : Note
            What ``make`` said of it.
        reused : bool
            Whether it was here.
        """
        part, beside = self.parts / name, self.notes / f"{name}.json"
        if (note := read_note(part, beside)) is not None:
            return note, True
        with atomic_file(part, clean=False) as file:
            note = make(file)
        # The note comes last: a part without one is not counted on.
        with atomic_file(beside, clean=False) as file:
            file.write(note_bytes(note, part))
        return note, False

    def name(self, choose: Callable[[], str]) -> str:
        """Name of the run, chosen once: a publishing that died goes on under the same."""
        if (name := self._chosen_name()) is None:
            name = choose()
            with atomic_file(self.folder / _NAME) as file:
                file.write(name.encode())
        return name

    def published(self) -> str | None:
        """Name of the run, where its parts have been renamed away and only LATEST is behind."""
        return None if self.parts.exists() else self._chosen_name()

    def begin_anew(self) -> None:
        """Forget the parts and the name, for the same inputs."""
        (self.folder / _NAME).unlink(missing_ok=True)
        for folder in (self.parts, self.notes):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()

    def clear(self) -> None:
        """Remove what is left once all is published."""
        shutil.rmtree(self.folder)

    def _chosen_name(self) -> str | None:
        """Name of the run; None where its file is missing or damaged: what it names may go."""
        path = self.folder / _NAME
        name = path.read_bytes().decode(errors="replace") if path.is_file() else ""
        return name if re.fullmatch(RUN_NAME, name) else None

    def _require_ours(self) -> None:
        """Refuse to clear away what no batch has written."""
        names = {path.name for path in self.folder.iterdir()} if self.folder.exists() else set()
        foreign = [name for name in names - _OURS if not name.startswith(".")]
        if foreign:
            raise StorageError(
                f"holds {min(foreign)!r}, which no batch has written",
                where=self.folder,
                remedy="move it away, or choose another output folder",
            )
