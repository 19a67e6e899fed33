"""Answer rows from a loaded bundle; the handler calls this, and tests need no TorchServe."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from handlers import kserve
from handlers.limits import longest_list
from handlers.requests import body_of, check, compact, encode, encode_error
from ncf.devices import Device
from ncf.errors import RequestError
from ncf.records import json_values
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.golden import replay
from ncf.scoring.queries import Recommendation, Request
from ncf.scoring.recommend import Recommender
from ncf.scoring.screened import ScreenedRanker

logger = logging.getLogger(__name__)

_SHORT = 12

Row = Mapping[str, object]


@dataclass(frozen=True)
class Answer:
    """The answer to one row.

    Parameters
    ----------
    status : int
        HTTP status.
    body : bytes
        Compact JSON.
    code : str
        ``ok``, or the code of the error.
    policy : str
        ``model``, ``history`` or ``popular``; ``none`` for an error.
    """

    status: int
    body: bytes
    code: str = "ok"
    policy: str = "none"


@dataclass(frozen=True)
class _Asked:
    """A request and its body, whose protocol the answer uses."""

    request: Request
    body: dict[str, Any]


class Service:
    """Answers rows from one bundle; use :meth:`close` or ``with`` to end its threads.

    Parameters
    ----------
    folder : Path
        The bundle; first its digests are checked and its golden requests are replayed.
    lanes : int
        Calls of the graph that may run side by side, each on one thread.
    name : str
        Name of the model, for protocols that repeat it.
    device : Device
        Device that computes.

    Raises
    ------
    ArtifactError
        The bundle is damaged, or its answers differ from those at export.
    """

    def __init__(
        self, folder: Path, lanes: int = 1, name: str = "ncf", device: Device = Device.AUTO
    ) -> None:
        bundle = open_bundle(folder)
        ranker = ExactRanker.open(bundle, device, threads=1)
        screen = ScreenedRanker.open(bundle, threads=1) if _use_screen(bundle, ranker) else None
        self._recommender = Recommender(bundle, ranker, lanes, screen)
        try:
            replayed = replay(bundle, self._recommender)
        except BaseException:
            self.close()
            raise
        self.model = bundle.digest[:_SHORT]
        self._name = name
        self._longest = longest_list(bundle.items)
        manifest = bundle.manifest
        self._facts = {
            "digest": bundle.digest,
            "model": json_values(manifest.model),
            "metrics": json_values(manifest.metrics),
            "provenance": json_values(manifest.provenance),
            "cold_user": manifest.cold_user.value,
            "golden_requests": replayed,
            "longest_list": self._longest,
            "lanes": lanes,
            "screen": json_values(manifest.screen) if screen else None,
            "fold_in": json_values(manifest.fold_in) if manifest.fold_in else None,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish the work under way and end the threads; no row can be answered after that."""
        self._recommender.close()

    def describe(self) -> bytes:
        """Describe the bundle as JSON."""
        return compact(self._facts)

    def answer(self, rows: Sequence[Row]) -> tuple[list[Answer], float]:
        """Answer the rows of a batch together; a bad row gets its own error, and nothing is raised.

        Returns
        -------
        list of Answer, float
            One answer for each row, and the seconds that scoring took.
        """
        decoded = [self._decode(row) for row in rows]
        requests = [each.request for each in decoded if isinstance(each, _Asked)]
        started = time.perf_counter()
        found = iter(self._score(requests))
        seconds = time.perf_counter() - started
        return [
            self._answered(next(found), each.body) if isinstance(each, _Asked) else each
            for each in decoded
        ], seconds

    def _decode(self, row: Row) -> _Asked | Answer:
        try:
            body = body_of(row)
            fields = kserve.fields_of(body) if kserve.is_kserve(body) else body
            return _Asked(check(fields, self._longest), body)
        except RequestError as error:
            return _refused(error)
        except Exception as error:  # noqa: BLE001 - the other rows must be answered
            return _failed(error)

    def _score(self, requests: Sequence[Request]) -> Sequence[Recommendation | Exception]:
        try:
            return self._recommender.recommend_all(requests)
        except Exception as error:  # noqa: BLE001 - as above
            if len(requests) == 1:
                return [error]
        logger.warning("a batch of %d failed: its rows are scored one by one", len(requests))
        return [one for request in requests for one in self._score([request])]

    def _answered(self, found: Recommendation | Exception, body: Mapping[str, Any]) -> Answer:
        if isinstance(found, RequestError):
            return _refused(found)
        if isinstance(found, Exception):
            return _failed(found)
        if kserve.is_kserve(body):
            encoded = kserve.encode(found, self._name, self.model, body)
        else:
            encoded = encode(found, self.model)
        return Answer(200, encoded, policy=found.policy.value)


def _use_screen(bundle: Bundle, ranker: ExactRanker) -> bool:
    """Whether to screen: on a GPU the exact graph is as fast for a few users."""
    return bundle.has_screen and ranker.device is Device.CPU


def _refused(error: RequestError) -> Answer:
    return Answer(error.http_status, encode_error(error.code, str(error)), error.code)


def _failed(error: Exception) -> Answer:
    logger.error("a row failed", exc_info=error)
    return Answer(500, encode_error("internal", "scoring failed; see the server's log"), "internal")
