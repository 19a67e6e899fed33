"""Hold the served models by name: route users to canaries, and follow the folders of bundles."""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from handlers import kserve, many
from handlers.requests import body_of
from handlers.service import Answer, Row, Service
from ncf.errors import RequestError
from ncf.scoring.manifest import BUNDLE

logger = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


class Recorder(Protocol):
    """Takes the figures of batches."""

    def record(self, model: str, digest: str, answers: Sequence[Answer], seconds: float) -> None:
        """Record what one model answered, and the seconds that scoring took."""

    def reloaded(self, model: str, digest: str, outcome: str) -> None:
        """Record that a new bundle was ``switched`` to, or ``refused``."""


@dataclass(frozen=True)
class Change:
    """What following a folder came to.

    Parameters
    ----------
    model : str
        Name of the model.
    digest : str
        Short digest of the bundle that answers now.
    refused : str or None
        Why the bundle in the folder is not the one that answers.
    """

    model: str
    digest: str
    refused: str | None = None


class Model:
    """One name, its folder, and the service that answers for it now.

    Raises
    ------
    ArtifactError
        The bundle is damaged, or its answers differ from those at export.
    """

    def __init__(self, name: str, folder: Path, lanes: int = 1) -> None:
        self.name = name
        self._folder = folder
        self._lanes = lanes
        self._stamp = self._look()
        self._tried: _Stamp | None = None
        self.service = Service(folder, lanes, name)

    def follow(self, *, again: bool = False) -> tuple[Change | None, Service | None]:
        """Open what is new in the folder and switch to it; keep the old one where that fails.

        Parameters
        ----------
        again : bool
            Also try a bundle that was refused before, and tell even if nothing has changed.

        Returns
        -------
        Change or None, Service or None
            What has happened, and the service to close.
        """
        same = Change(self.name, self.service.model) if again else None
        stamp = self._look()
        if stamp in {self._stamp, None} or (stamp == self._tried and not again):
            missing = Change(self.name, self.service.model, "bundle.json is missing")
            return (missing if stamp is None and again else same), None
        try:
            service = Service(self._folder, self._lanes, self.name)
        except Exception as error:  # noqa: BLE001 - whatever it is, the old bundle answers on
            if self._look() != stamp:
                return same, None  # it was replaced meanwhile: the next look will tell
            self._tried = stamp
            logger.warning("%s: refused: %s", self.name, error)
            return Change(self.name, self.service.model, str(error)), None
        self._stamp, self._tried = stamp, None
        if service.digest == self.service.digest:
            service.close()
            return same, None
        logger.info("%s: %s answers instead of %s", self.name, service.model, self.service.model)
        before, self.service = self.service, service
        return Change(self.name, service.model), before

    def _look(self) -> _Stamp | None:
        """Tell versions of the folder apart without reading it; None where no manifest is."""
        try:
            found = (self._folder / BUNDLE.manifest).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


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
    ) -> None:
        self._models = {name: Model(name, folder, lanes) for name, folder in folders.items()}
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
