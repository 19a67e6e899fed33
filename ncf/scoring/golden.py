"""Golden requests: answers recorded at export, replayed wherever the bundle is used."""

import json

from ncf.artifacts import Document
from ncf.errors import ArtifactError
from ncf.scoring.bundle import GOLDEN_FILE, Bundle
from ncf.scoring.recommend import Recommendation, Recommender, Wishes

_TOLERANCE = 1e-4  # logits; machines differ in the last bits of a float32 sum


def record(recommender: Recommender, users: list[str], k: int) -> Document:
    """Answer for some users, as JSON values."""
    return {
        "k": k,
        "answers": [_described(recommender.recommend(user, Wishes(k))) for user in users],
    }


def replay(bundle: Bundle, recommender: Recommender) -> int:
    """Ask the golden requests again; returns how many there were.

    Raises
    ------
    ArtifactError
        An answer differs by more than ties and rounding.
    """
    golden = json.loads((bundle.path / GOLDEN_FILE).read_bytes())
    for expected in golden["answers"]:
        found = _described(recommender.recommend(expected["user"], Wishes(golden["k"])))
        if not _agree(expected, found):
            raise ArtifactError(
                f"does not answer user {expected['user']!r} as it did when it was exported",
                where=bundle.path,
                remedy="compare versions of ONNX Runtime with 'ncf doctor', or export it again",
            )
    return len(golden["answers"])


def _described(found: Recommendation) -> Document:
    return {
        "user": found.user,
        "policy": found.policy.value,
        "items": [item.item for item in found.items],
        "scores": [item.score for item in found.items],
    }


def _agree(expected: Document, found: Document) -> bool:
    if expected["policy"] != found["policy"] or len(expected["items"]) != len(found["items"]):
        return False
    if found["policy"] == "popular":
        return bool(expected["items"] == found["items"])
    pairs = zip(expected["scores"], found["scores"], strict=True)
    if not all(abs(before - now) <= _TOLERANCE for before, now in pairs):
        return False
    # Items may change places, or leave at the end, only where their scores are that close.
    before = dict(zip(expected["items"], expected["scores"], strict=True))
    last = expected["scores"][-1] if expected["scores"] else 0.0
    return all(
        abs(before.get(item, last) - score) <= _TOLERANCE
        for item, score in zip(found["items"], found["scores"], strict=True)
    )
