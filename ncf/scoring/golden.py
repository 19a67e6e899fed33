"""Record golden requests with their answers at export, and replay them where a bundle is used."""

import json
from pathlib import Path

from ncf.artifacts import Document
from ncf.errors import ArtifactError
from ncf.policies import Policy
from ncf.scoring.bundle import GOLDEN_FILE, Bundle
from ncf.scoring.queries import Recommendation, Wishes
from ncf.scoring.recommend import Recommender

# Relative to the logit, or to 1 where it is smaller: machines round float32 sums differently.
_TOLERANCE = 1e-4


def record(recommender: Recommender, users: list[str], k: int) -> Document:
    """Answer some users' requests, and describe the answers as JSON values."""
    return {
        "k": k,
        "answers": [_described(recommender.recommend(user, Wishes(k))) for user in users],
    }


def replay(bundle: Bundle, recommender: Recommender) -> int:
    """Replay the golden requests, and return how many there were.

    Raises
    ------
    ArtifactError
        An answer differs by more than ties and rounding.
    """
    k, answers = _read(bundle.path / GOLDEN_FILE)
    for expected in answers:
        found = _described(recommender.recommend(expected["user"], Wishes(k)))
        if not _agree(expected, found):
            raise ArtifactError(
                f"the answer for user {expected['user']!r} differs from the one at export",
                where=bundle.path,
                remedy="compare versions of ONNX Runtime with 'ncf doctor', or export again",
            )
    return len(answers)


def _read(path: Path) -> tuple[int, list[Document]]:
    """Read the length of the lists and the expected answers, and check the type of each field."""
    try:
        golden = json.loads(path.read_bytes())
        k, answers = golden["k"], golden["answers"]
        sound = type(k) is int and k > 0 and all(map(_is_answer, answers))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError("not readable", where=path) from error
    if not sound:
        raise ArtifactError("not readable", where=path)
    if not answers:
        raise ArtifactError("there is no golden request in it", where=path)
    return k, answers


def _is_answer(answer: Document) -> bool:
    items, scores = answer["items"], answer["scores"]
    number = float if answer["policy"] == Policy.MODEL else type(None)
    texts = [answer["user"], *items]
    return (
        len(items) == len(scores)
        and all(isinstance(text, str) for text in texts)
        and all(isinstance(score, number) for score in scores)
    )


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
    if found["policy"] == Policy.POPULAR:
        return bool(expected["items"] == found["items"])
    if not all(map(_close, expected["scores"], found["scores"])):
        return False
    # Items may swap places, or drop off the end, only where their scores are this close.
    before = dict(zip(expected["items"], expected["scores"], strict=True))
    last = expected["scores"][-1] if expected["scores"] else 0.0
    return all(
        _close(before.get(item, last), score)
        for item, score in zip(found["items"], found["scores"], strict=True)
    )


def _close(before: float, now: float) -> bool:
    return abs(before - now) <= _TOLERANCE * max(1.0, abs(before))
