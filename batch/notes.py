"""Notes: what is known of a part, kept beside it until the run is published."""

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
    """What is known of a part.

    Parameters
    ----------
    rows : int
        Its rows.
    users : mapping
        Users by policy.
    audit : PairSample
        What the audit found.
    seconds : mapping
        What scoring, the audit and writing took.
    """

    rows: int
    users: Mapping[str, int]
    audit: PairSample
    seconds: Mapping[str, float]


def note_bytes(note: Note, part: Path) -> bytes:
    """Describe a part, with its digest and one of the description too."""
    described = {"facts": json_values(note), "sha256": sha256(part)}
    return canonical_json({**described, "digest": sha256_bytes(canonical_json(described))})


def read_note(part: Path, path: Path) -> Note | None:
    """Tell what is known of a part; None where either is missing or damaged."""
    if not part.is_file() or not path.is_file():
        return None
    content = path.read_bytes()
    try:
        note = read_record(Note, json.loads(content)["facts"])
    except (ValueError, KeyError, TypeError):
        return None
    return note if note_bytes(note, part) == content else None
