"""Keep an unfinished run: after a crash, the same command continues from its parts."""

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
    """The parts finished so far, with a note beside each; the caller holds the output's lock.

    Parameters
    ----------
    folder : Path
        Folder of parts and notes until the parts are published.
    """

    folder: Path

    @classmethod
    def open(cls, folder: Path, identity: Identity, forget: Callable[[str], None]) -> "Unfinished":
        """Continue the work on the same inputs, or start over.

        Parameters
        ----------
        folder : Path
            Folder of the unfinished run.
        identity : Identity
            Everything that determines the bytes of the parts.
        forget : callable
            Called with the name under which abandoned work was being published.
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

    @staticmethod
    def is_of(folder: Path, identity: Identity) -> bool:
        """Whether a folder holds the unfinished run of these inputs."""
        found = folder / _IDENTITY
        with storage_errors(folder):
            return found.is_file() and found.read_bytes() == canonical_json(json_values(identity))

    @property
    def parts(self) -> Path:
        """Folder that becomes the run."""
        return self.folder / "parts"

    @property
    def notes(self) -> Path:
        """Folder of the notes."""
        return self.folder / "notes"

    def finish(
        self, name: str, make: Callable[[BinaryIO, Note | None], Note], rounds: int = 0
    ) -> tuple[Note, bool]:
        """Read the note of a part, or make the part unless it is here and whole.

        A part that has gone through fewer than so many rounds is made from what they have found.

        Returns
        -------
        note : Note
            Facts about the part.
        reused : bool
            Whether the part was here.
        """
        part, beside = self.parts / name, self.notes / f"{name}.json"
        before = read_note(part, beside)
        if before is not None and len(before.samples) >= rounds:
            return before, True
        with atomic_file(part, clean=False) as file:
            note = make(file, before)
        # The note is written last: a part without a note is made again.
        with atomic_file(beside, clean=False) as file:
            file.write(note_bytes(note, part))
        return note, False

    def kept(self, name: str) -> Path:
        """Name the file of what the rounds of a part have found."""
        return self.notes / f"{name}.npz"

    def name(self, choose: Callable[[], str]) -> str:
        """Get the name of the run, which is chosen once and kept for later tries."""
        if (name := self._chosen_name()) is None:
            name = choose()
            with atomic_file(self.folder / _NAME) as file:
                file.write(name.encode())
        return name

    def published(self) -> str | None:
        """Get the name of the run if its parts are in place and only LATEST is missing."""
        return None if self.parts.exists() else self._chosen_name()

    def begin_anew(self) -> None:
        """Remove the parts and the name, for the same inputs."""
        (self.folder / _NAME).unlink(missing_ok=True)
        for folder in (self.parts, self.notes):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()

    def clear(self) -> None:
        """Remove the folder after publishing."""
        shutil.rmtree(self.folder)

    def _chosen_name(self) -> str | None:
        """Read the name of the run; None if its file is missing or damaged."""
        path = self.folder / _NAME
        name = path.read_bytes().decode(errors="replace") if path.is_file() else ""
        return name if re.fullmatch(RUN_NAME, name) else None

    def _require_ours(self) -> None:
        """Refuse to remove files that no batch has written."""
        names = {path.name for path in self.folder.iterdir()} if self.folder.exists() else set()
        foreign = [name for name in names - _OURS if not name.startswith(".")]
        if foreign:
            raise StorageError(
                f"holds {min(foreign)!r}, which no batch has written",
                where=self.folder,
                remedy="move it away, or choose another output folder",
            )
