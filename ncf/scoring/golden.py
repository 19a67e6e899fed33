"""Record golden requests with their answers at export, and replay them where a bundle is used."""

import json
from dataclasses import dataclass
from pathlib import Path

from ncf.artifacts import canonical_json
from ncf.errors import ArtifactError
from ncf.policies import Policy
from ncf.records import json_values, optional, read_record
from ncf.scoring.bundle import GOLDEN_FILE, Bundle
from ncf.scoring.queries import Recommendation, Request, Wishes
from ncf.scoring.recommend import Recommender

# Relative to the logit, or to 1 where it is smaller: machines round float32 sums differently.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Answer:
    """What a user got at the export.

    Parameters
    ----------
    user : str
        Raw id.
    policy : Policy
        Where the list comes from.
    items : tuple of str
        Raw ids, best first.
    scores : tuple of float or None
        Logits, one an item; None in the popular list.
    history : tuple of str or None
        The history that the request gave, if any.
    """

    user: str
    policy: Policy
    items: tuple[str, ...]
    scores: tuple[float | None, ...]
    history: tuple[str, ...] | None = optional()


@dataclass(frozen=True)
class Golden:
    """What ``golden.json`` says.

    Parameters
    ----------
    k : int
        Length of the lists.
    answers : tuple of Answer
        One a request.
    """

    k: int
    answers: tuple[Answer, ...]

    def wishes(self, answer: Answer) -> Wishes:
        """Wishes of the request that was answered."""
        return Wishes(self.k, history=answer.history)


def record(recommender: Recommender, requests: list[Request], k: int) -> bytes:
    """Answer some requests with lists of K; gives the content of ``golden.json``."""
    answers = []
    for request in requests:
        history = request.wishes.history
        found = recommender.recommend(request.user, Wishes(k, history=history))
        answers.append(_described(found, history))
    return canonical_json(json_values(Golden(k, tuple(answers))))


def replay(bundle: Bundle, recommender: Recommender) -> int:
    """Replay the golden requests, and return how many there were.

    Raises
    ------
    ArtifactError
        An answer differs by more than ties and rounding.
    """
    golden = read_golden(bundle)
    for expected in golden.answers:
        found = recommender.recommend(expected.user, golden.wishes(expected))
        check_answer(bundle.path, expected, found)
    return len(golden.answers)


def check_answer(where: Path, expected: Answer, found: Recommendation) -> None:
    """Compare the answer to a golden request with that at the export.

    Raises
    ------
    ArtifactError
        It differs by more than ties and rounding.
    """
    if not _agree(expected, _described(found, expected.history)):
        raise ArtifactError(
            f"does not answer user {expected.user!r} as it did when it was exported",
            where=where,
            remedy="compare versions of ONNX Runtime with 'ncf doctor', or export again",
        )


def read_golden(bundle: Bundle) -> Golden:
    """Read the golden requests; each field has the type that it must have.

    Raises
    ------
    ArtifactError
        The file is damaged, or holds no request.
    """
    path = bundle.path / GOLDEN_FILE
    try:
        golden = read_record(Golden, json.loads(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise ArtifactError("not readable", where=path) from error
    if golden.k < 1 or not all(map(_is_sound, golden.answers)):
        raise ArtifactError("not readable", where=path)
    if not golden.answers:
        raise ArtifactError("holds no request", where=path)
    return golden


def _is_sound(answer: Answer) -> bool:
    """Whether there is a score an item, and a number exactly where the model ranked."""
    scored = answer.policy is not Policy.POPULAR
    scores = answer.scores
    return len(answer.items) == len(scores) and all((s is not None) == scored for s in scores)


def _described(found: Recommendation, history: tuple[str, ...] | None) -> Answer:
    items = tuple(item.item for item in found.items)
    scores = tuple(item.score for item in found.items)
    return Answer(found.user, found.policy, items, scores, history)


def _agree(expected: Answer, found: Answer) -> bool:
    if expected.policy != found.policy or len(expected.items) != len(found.items):
        return False
    if found.policy is Policy.POPULAR:
        return expected.items == found.items
    before, now = _numbers(expected.scores), _numbers(found.scores)
    if not all(map(_close, before, now)):
        return False
    # Items may change places, or leave at the end, only where their scores are that close.
    by_item = dict(zip(expected.items, before, strict=True))
    last = before[-1] if before else 0.0
    return all(
        _close(by_item.get(item, last), score) for item, score in zip(found.items, now, strict=True)
    )


def _numbers(scores: tuple[float | None, ...]) -> list[float]:
    return [score for score in scores if score is not None]


def _close(before: float, now: float) -> bool:
    return abs(before - now) <= _TOLERANCE * max(1.0, abs(before))
