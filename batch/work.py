"""The unfinished run: parts that a death leaves behind, and the same command takes up again."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from batch.shards import Shard, write_table
from ncf.artifacts import Document, canonical_json
from ncf.files import atomic_file, flush_tree, fsync, sha256, storage_errors, sweep

WORK_FOLDER = ".work"
_IDENTITY = "identity.json"


@dataclass(frozen=True)
class Work:
    """Parts finished so far, and a note beside each; the caller holds the output folder's lock.

    Parameters
    ----------
    folder : Path
        Where they lie until the parts are published.
    """

    folder: Path

    @classmethod
    def open(cls, out: Path, identity: Document) -> "Work":
        """Take up the work on the same inputs, or begin anew.

        Parameters
        ----------
        out : Path
            Folder of all runs.
        identity : dict
            Everything that decides the bytes of the parts.
        """
        work = cls(out / WORK_FOLDER)
        wanted, found = canonical_json(identity), work.folder / _IDENTITY
        with storage_errors(work.folder):
            if not found.is_file() or found.read_bytes() != wanted:
                if work.folder.exists():
                    shutil.rmtree(work.folder)
                work.parts.mkdir(parents=True)
                work.notes.mkdir()
                with atomic_file(found) as file:
                    file.write(wanted)
            sweep(work.parts, ".*")
        return work

    @property
    def parts(self) -> Path:
        """Folder that becomes the run."""
        return self.folder / "parts"

    @property
    def notes(self) -> Path:
        """Folder of what is known of each part."""
        return self.folder / "notes"

    def finish(self, shard: Shard, make: Callable[[], pa.Table]) -> tuple[int, bool]:
        """Count the rows of a shard's part, and make it unless it is here, whole.

        Returns
        -------
        rows : int
            Rows of the part.
        reused : bool
            Whether it was here.
        """
        part, note = self.parts / shard.part, self.notes / f"{shard.part}.json"
        if part.is_file() and note.is_file():
            facts = json.loads(note.read_bytes())
            if facts["sha256"] == sha256(part):
                return int(facts["rows"]), True
        table = make()
        with atomic_file(part) as file:
            write_table(table, file)
        # The note comes last: a part without one is not counted on.
        with atomic_file(note) as file:
            file.write(canonical_json({"rows": table.num_rows, "sha256": sha256(part)}))
        return int(table.num_rows), False

    def publish(self, target: Path) -> None:
        """Rename the sealed parts to their final name, and clear the rest away."""
        with storage_errors(target):
            flush_tree(self.parts)
            self.parts.rename(target)
            fsync(target.parent)
            shutil.rmtree(self.folder)
