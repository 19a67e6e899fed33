"""Remember answers: the same request to the same bundle always gets the same bytes."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol

from handlers.models import Models
from handlers.replies import JSON, Reply
from handlers.routes import Route

_LONGEST = 1000  # bytes of a request; those with long histories hardly come again
_ENTRY = 400  # bytes that an entry takes besides request and answer, about

_Key = tuple[str, str, bytes]  # model, whose name may be in the answer, digest, request


class Counting(Protocol):
    """Takes the figures of answers that were remembered."""

    def repeated(self, model: str, digest: str, policy: str) -> None:
        """Count an answer that was given without scoring."""


class Question(NamedTuple):
    """A request for lists whose body is read."""

    route: Route
    headers: Mapping[bytes, bytes]
    body: bytes

    @property
    def comes_again(self) -> bool:
        """Whether the same bytes may come again: plain JSON that is short."""
        plain = not self.route.tensors and self.headers.get(b"content-type") == JSON
        return plain and len(self.body) <= _LONGEST


class Remembered:
    """Answers of the bundles of now; those that were not asked for the longest time go first.

    Lists are remembered for requests in JSON for one user, unless a canary takes some users.

    Parameters
    ----------
    models : Models
        What is served.
    recorder : Counting
        Takes the figures.
    most : int
        Most bytes that answers take, about; 0 remembers none.
    """

    def __init__(self, models: Models, recorder: Counting, most: int) -> None:
        self._models = models
        self._recorder = recorder
        self._most = most
        self._size = 0
        self._answers: OrderedDict[_Key, Reply] = OrderedDict()

    async def answer(self, question: Question, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        """Give the answer that is remembered, or ask for one and remember it."""
        name = question.route.model
        if not self._most or not question.comes_again or self._models.is_shared(name):
            return await ask()
        service = self._models[name]
        key = (name, service.digest, question.body)
        known = self._answers.get(key)
        if known is not None:
            self._answers.move_to_end(key)
            self._recorder.repeated(name, service.model, known.policy)
            return known
        reply = await ask()
        if reply.policy and self._models[name] is service:  # else another bundle may have answered
            self._keep(key, reply)
        return reply

    def forget(self) -> None:
        """Forget all: another bundle answers."""
        self._answers.clear()
        self._size = 0

    def _keep(self, key: _Key, reply: Reply) -> None:
        if key in self._answers:
            return
        self._answers[key] = reply
        self._size += _bytes(key, reply)
        while self._size > self._most:
            self._size -= _bytes(*self._answers.popitem(last=False))


def _bytes(key: _Key, reply: Reply) -> int:
    return len(key[-1]) + len(reply.body) + _ENTRY
