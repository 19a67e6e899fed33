"""Hold the served models by name: route users to canaries."""

import threading
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from handlers import kserve, many
from handlers.following import Change, Model
from handlers.requests import body_of
from handlers.service import Answer, Row, Service
from ncf.errors import RequestError


class Recorder(Protocol):
    """Takes the figures of batches."""

    def record(self, model: str, digest: str, answers: Sequence[Answer], seconds: float) -> None:
        """Record what one model answered, and the seconds that scoring took."""

    def reloaded(self, model: str, digest: str, outcome: str) -> None:
        """Record that a new bundle was ``switched`` to, or ``refused``."""


class Models:
    """The served models.

    Parameters
    ----------
    folders : mapping of str to Path
        Bundles by name; the first is the one that canaries take users from.
    canaries : mapping of str to float
        Share of the first model's users that another model answers for.
    lanes : int
        Calls of a graph that may run side by side.
    kept : mapping of str to Path, optional
        Bundles by name, to answer with if those of the folders cannot.

    Raises
    ------
    ArtifactError
        A bundle is damaged, or its answers differ from those at export.
    """

    def __init__(
        self,
        folders: Mapping[str, Path],
        canaries: Mapping[str, float] | None = None,
        lanes: int = 1,
        kept: Mapping[str, Path] | None = None,
    ) -> None:
        self._models = {
            name: Model(name, folder, lanes, (kept or {}).get(name))
            for name, folder in folders.items()
        }
        self.first = next(iter(self._models))
        self._canaries = {name: share for name, share in (canaries or {}).items() if share > 0}
        self._lock = threading.Lock()

    def __contains__(self, name: str) -> bool:
        return name in self._models

    def __getitem__(self, name: str) -> Service:
        return self._models[name].service

    def names(self) -> list[str]:
        """Names, the first model's first."""
        return list(self._models)

    def is_shared(self, name: str) -> bool:
        """Whether other models answer for some of a model's users."""
        return name == self.first and bool(self._canaries)

    def check_ready(self) -> None:
        """Replay a golden request of each model.

        Raises
        ------
        ArtifactError
            An answer differs from that at the export.
        """
        for model in self._models.values():
            model.service.check_ready()

    def follow(
        self, recorder: Recorder, *, again: bool = False
    ) -> tuple[list[Change], list[Service]]:
        """Look at every folder; give what has happened, and the services to close."""
        changes, closing = [], []
        with self._lock:
            for model in self._models.values():
                change, before = model.follow(again=again)
                if change is not None:
                    changes.append(change)
                if before is not None:
                    closing.append(before)
                    recorder.reloaded(model.name, model.service.model, "switched")
                elif change is not None and change.refused:
                    recorder.reloaded(model.name, model.service.model, "refused")
        return changes, closing

    def answer(self, rows: Sequence[tuple[str, Row]], recorder: Recorder) -> list[Answer]:
        """Answer rows, each by the model of its name or by a canary."""
        if len(self._models) == 1:
            return self._by(self.first, [row for _, row in rows], recorder)
        pieces: list[tuple[str, Row]] = []
        spans: list[int | None] = []  # how many pieces a row was split into
        for name, row in rows:
            parts = self._parts(row) if name == self.first else None
            spans.append(None if parts is None else len(parts))
            own = self._routed(row) if name == self.first else name
            pieces += [(own, row)] if parts is None else parts
        answers: dict[int, Answer] = {}
        for name in dict.fromkeys(name for name, _ in pieces):
            places = [place for place, (own, _) in enumerate(pieces) if own == name]
            found = self._by(name, [pieces[place][1] for place in places], recorder)
            answers |= zip(places, found, strict=True)
        given = (answers[place] for place in range(len(pieces)))
        return [
            next(given) if n is None else _joined([next(given) for _ in range(n)]) for n in spans
        ]

    def _by(self, name: str, rows: list[Row], recorder: Recorder) -> list[Answer]:
        service = self._models[name].service
        answers, seconds = service.answer(rows)
        recorder.record(name, service.model, answers, seconds)
        return answers

    def _parts(self, row: Row) -> list[tuple[str, Row]] | None:
        """Route the requests of a row of many; None for any other, or one that is malformed."""
        if not self._canaries:
            return None
        try:
            body = body_of(row)
            if not many.is_many(body):
                return None
            self[self.first].check_many(body)
        except RequestError:
            return None  # the service says what is wrong
        each = ({"body": {**body, "requests": [one]}} for one in many.requests_of(body))
        return [(self._routed(_first(one)), one) for one in each]

    def _routed(self, row: Row) -> str:
        """Name the model that answers for the user of a row, by a hash of the user."""
        try:
            body = body_of(row) if self._canaries else {}
            user = (kserve.fields_of(body) if kserve.is_kserve(body) else body).get("user")
        except RequestError:
            return self.first
        for name, share in self._canaries.items():
            if isinstance(user, str) and place_of(user, name) < share:
                return name
        return self.first


def place_of(user: str, canary: str) -> float:
    """Give a user a place from 0 to 1, the same at all times; each canary has its own order."""
    digest = blake2b(f"{canary}\0{user}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _first(row: dict[str, dict[str, Any]]) -> Row:
    return {"body": row["body"]["requests"][0]}


def _joined(answers: list[Answer]) -> Answer:
    parts = tuple(part for answer in answers for part in answer.parts)
    return Answer(200, many.encode([(each.status, each.body) for each in parts]), parts=parts)
