"""Write and read notes: facts about a part, kept beside it until the run is published."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ncf.artifacts import canonical_json
from ncf.files import sha256, sha256_bytes
from ncf.proof.recall import PairSample
from ncf.records import json_values, read_record


@dataclass(frozen=True)
class Note:
    """The facts about a part.

    Parameters
    ----------
    rows : int
        Count of rows.
    users : mapping
        Count of users by policy.
    samples : tuple of PairSample
        Results of the audit after each round of :mod:`batch.rounds`; none for exact ranking.
    seconds : mapping
        Seconds that scoring, the audit and writing took.
    """

    rows: int
    users: Mapping[str, int]
    samples: tuple[PairSample, ...]
    seconds: Mapping[str, float]


def note_bytes(note: Note, part: Path) -> bytes:
    """Write a note with the digest of the part, and a digest of the note itself."""
    described = {"facts": json_values(note), "sha256": sha256(part)}
    return canonical_json({**described, "digest": sha256_bytes(canonical_json(described))})


def read_note(part: Path, path: Path) -> Note | None:
    """Read the note of a part; None if the note or the part is missing or damaged."""
    if not part.is_file() or not path.is_file():
        return None
    content = path.read_bytes()
    try:
        note = read_record(Note, json.loads(content)["facts"])
    except (ValueError, KeyError, TypeError):
        return None
    return note if note_bytes(note, part) == content else None
