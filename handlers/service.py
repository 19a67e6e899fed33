"""Answer rows from a loaded bundle; the handler calls this, and tests need no TorchServe."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from handlers import kserve, many
from handlers.encoding import compact
from handlers.limits import longest_list, most_items
from handlers.requests import body_of, check, encode, encode_error
from ncf.devices import Device
from ncf.errors import RequestError
from ncf.policies import Policy
from ncf.records import json_values
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.golden import check_answer, read_golden, replay
from ncf.scoring.queries import Recommendation, Request
from ncf.scoring.recommend import Recommender
from ncf.scoring.screened import ScreenedRanker

logger = logging.getLogger(__name__)

_SHORT = 12

Row = Mapping[str, object]


class Answer(NamedTuple):
    """The answer to one row; a tuple, as what is made for every row is, for speed.

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
    parts : tuple of Answer
        Answers to the requests of a row that holds several; empty for any other row.
    """

    status: int
    body: bytes
    code: str = "ok"
    policy: str = "none"
    parts: "tuple[Answer, ...]" = ()


class _Asked(NamedTuple):
    """A request and its body, whose protocol the answer uses."""

    request: Request
    body: dict[str, Any]


_Decoded = _Asked | Answer | list[_Asked | Answer]


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
        screen = (
            ScreenedRanker.open(bundle, threads=1).backed_by(ranker)
            if _use_screen(bundle, ranker)
            else None
        )
        self._recommender = Recommender(bundle, ranker, lanes, screen)
        try:
            replayed = replay(bundle, self._recommender)
        except BaseException:
            self.close()
            raise
        self.digest = bundle.digest
        self.model = bundle.digest[:_SHORT]
        self.name = name
        self._path = bundle.path
        self._golden = read_golden(bundle)
        self._longest = longest_list(bundle.items)
        self._most = most_items(bundle.items)
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

    def check_ready(self) -> None:
        """Replay a golden request of a trained user, or any if there is none.

        Raises
        ------
        ArtifactError
            The answer differs from that at the export.
        """
        answers = self._golden.answers
        expected = next((each for each in answers if each.policy is Policy.MODEL), answers[0])
        found = self._recommender.recommend(expected.user, self._golden.wishes(expected))
        check_answer(self._path, expected, found)

    def answer(self, rows: Sequence[Row]) -> tuple[list[Answer], float]:
        """Answer the rows of a batch together; a bad row gets its own error, and nothing is raised.

        Returns
        -------
        list of Answer, float
            One answer for each row, and the seconds that scoring took.
        """
        decoded = [self._decode(row) for row in rows]
        requests = [each.request for each in _flat(decoded) if isinstance(each, _Asked)]
        started = time.perf_counter()
        found = iter(self._score(requests))
        seconds = time.perf_counter() - started
        return [self._answered(each, found) for each in decoded], seconds

    def _decode(self, row: Row) -> _Decoded:
        try:
            body = body_of(row)
            if many.is_many(body):
                return self._decode_many(body)
            fields = kserve.fields_of(body) if kserve.is_kserve(body) else body
            return _Asked(check(fields, self._longest), body)
        except RequestError as error:
            return _refused(error)
        except Exception as error:  # noqa: BLE001 - the other rows must be answered
            return _failed(error)

    def check_many(self, body: Mapping[str, Any]) -> None:
        """Refuse a body of many users as :meth:`answer` would.

        Raises
        ------
        RequestError
            Its requests are not a list, or ask for too much.
        """
        self._decode_many(body)

    def _decode_many(self, body: Mapping[str, Any]) -> list[_Asked | Answer]:
        found: list[_Asked | Answer] = []
        for each in many.requests_of(body):
            try:
                fields = body_of({"body": each})
                found.append(_Asked(check(fields, self._longest), {}))
            except RequestError as error:
                found.append(_refused(error))
        many.check_size([each.request for each in found if isinstance(each, _Asked)], self._most)
        return found

    def _score(self, requests: Sequence[Request]) -> Sequence[Recommendation | Exception]:
        try:
            return self._recommender.recommend_all(requests)
        except Exception as error:  # noqa: BLE001 - as above
            if len(requests) == 1:
                return [error]
        logger.warning("a batch of %d failed: its rows are scored one by one", len(requests))
        return [one for request in requests for one in self._score([request])]

    def _answered(self, decoded: _Decoded, found: "Iterator[Recommendation | Exception]") -> Answer:
        if isinstance(decoded, list):
            parts = tuple(self._answered(each, found) for each in decoded)
            return Answer(200, many.encode([(p.status, p.body) for p in parts]), parts=parts)
        if isinstance(decoded, Answer):
            return decoded
        one = next(found)
        if isinstance(one, RequestError):
            return _refused(one)
        if isinstance(one, Exception):
            return _failed(one)
        if kserve.is_kserve(decoded.body):
            encoded = kserve.encode(one, self.name, self.model, decoded.body)
        else:
            encoded = encode(one, self.model)
        return Answer(200, encoded, policy=one.policy.value)


def _flat(decoded: Sequence[_Decoded]) -> Iterator[_Asked | Answer]:
    for each in decoded:
        if isinstance(each, list):
            yield from each
        else:
            yield each


def _use_screen(bundle: Bundle, ranker: ExactRanker) -> bool:
    """Whether to screen: on a GPU the exact graph is as fast for a few users."""
    return bundle.has_screen and ranker.device is Device.CPU


def _refused(error: RequestError) -> Answer:
    return Answer(error.http_status, encode_error(error.code, str(error)), error.code)


def _failed(error: Exception) -> Answer:
    logger.error("a row failed", exc_info=error)
    return Answer(500, encode_error("internal", "scoring failed; see the server's log"), "internal")
