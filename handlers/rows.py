"""Answer the requests of a batch: bodies in, HTTP answers out; runs on the scoring thread."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from handlers import tensors
from handlers.encoding import parse
from handlers.forms import row_of
from handlers.models import Models, Recorder
from handlers.replies import Reply, error_reply, json_reply
from handlers.routes import Route
from handlers.service import Answer, Row
from ncf.errors import NcfError, RequestError

_OCTETS = b"application/octet-stream"


class Counting(Recorder, Protocol):
    """Takes the figures of batches, and of requests that are refused before scoring."""

    def refused(self, status: int) -> None:
        """Count a request that was refused."""


class Asked(NamedTuple):
    """A request whose body is read, but not decoded.

    Parameters
    ----------
    route : Route
        What it asks for.
    content_type : bytes
        Its content type.
    body : bytes
        Its body.
    header_length : int or None
        Length of the JSON before binary tensors, if there are any.
    """

    route: Route
    content_type: bytes = b""
    body: bytes = b""
    header_length: int | None = None

    @classmethod
    def of(cls, route: Route, headers: Mapping[bytes, bytes], body: bytes) -> "Asked":
        """Collect what is needed of a request."""
        kind = headers.get(b"content-type", b"")
        length = headers.get(tensors.HEADER_LENGTH) if route.tensors else None
        if length is None:
            return cls(route, kind, body)
        return cls(route, kind, body, int(length) if length[:18].isdigit() else -1)

    def row(self) -> Row:
        """Decode it as far as the service needs.

        Raises
        ------
        RequestError
            It is malformed.
        """
        if self.route.tensors:
            return {"body": tensors.read(self.body, self.header_length)}
        return row_of(self.content_type, self.body)


def answer_all(models: Models, recorder: Counting, asked: Sequence[Asked]) -> list[Reply]:
    """Answer the requests of a batch, in order."""
    replies: list[Reply | None] = [None] * len(asked)
    places: list[int] = []
    rows: list[tuple[str, Row]] = []
    for place, each in enumerate(asked):
        if not each.route.asks:
            replies[place] = _ready(models)
            continue
        try:
            rows.append((each.route.model, each.row()))
            places.append(place)
        except RequestError as error:
            replies[place] = _refused(error, each.route)
            recorder.refused(error.http_status)
    if rows:
        answers = models.answer(rows, recorder)
        for place, (_, row), answer in zip(places, rows, answers, strict=True):
            replies[place] = _reply(asked[place].route, row, answer)
    return [reply for reply in replies if reply is not None]


def _ready(models: Models) -> Reply:
    try:
        models.check_ready()
    except NcfError as error:
        return error_reply(503, "not_ready", str(error))
    return json_reply({"ready": True})


def _reply(route: Route, row: Row, answer: Answer) -> Reply:
    if not route.tensors:
        lists = answer.status == 200 and not answer.parts
        return Reply(answer.status, answer.body, policy=answer.policy if lists else "")
    if answer.status != 200:
        document: Any = parse(answer.body)
        error = document["error"]
        return error_reply(answer.status, error["code"], error["message"], tensors=True)
    body = row["body"]
    try:
        content, length = tensors.write(answer.body, body if isinstance(body, dict) else {})
    except RequestError as error:
        return _refused(error, route)
    if length is None:
        return Reply(200, content)
    header = (tensors.HEADER_LENGTH, str(length).encode())
    return Reply(200, content, _OCTETS, (header,))


def _refused(error: RequestError, route: Route) -> Reply:
    return error_reply(error.http_status, error.code, str(error), tensors=route.tensors)
