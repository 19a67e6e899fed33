"""One ASGI application around :class:`handlers.service.Service`, for any ASGI server."""

import asyncio
import gc
import itertools
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from handlers.access import Access, AccessLog
from handlers.batching import Batcher, BusyError, GoneError, OverdueError
from handlers.exposition import CONTENT_TYPE, Exposition
from handlers.following import Change
from handlers.models import Models
from handlers.reading import (
    Bodies,
    Limits,
    NoMemoryError,
    Receive,
    TooLargeError,
    TooSlowError,
    discard,
)
from handlers.remembered import Question, Remembered
from handlers.replies import Reply, error_reply, json_reply
from handlers.routes import Route, find_route
from handlers.rows import Asked, answer_all
from handlers.service import Service

logger = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = dict[bytes, bytes]
_REFUSALS: dict[type[Exception], tuple[int, str, str]] = {
    BusyError: (503, "busy", "too many requests wait; try again"),
    NoMemoryError: (503, "busy", "the bodies of other requests fill the memory; try again"),
    OverdueError: (504, "overdue", "no answer within the deadline; try again"),
    TooLargeError: (413, "too_large", "the body has more bytes than allowed"),
    TooSlowError: (408, "too_slow", "the body did not come in time"),
}


class Application:
    """Answers HTTP requests for some models.

    Parameters
    ----------
    models : Models
        What is served.
    access : Access
        Tokens; by default none is needed.
    limits : Limits
        Limits of bytes, rows and seconds.
    follow : float
        Seconds between looks at the folders of the bundles; 0 never looks.
    log : AccessLog, optional
        Gets a line for each request.
    """

    def __init__(
        self,
        models: Models,
        access: Access | None = None,
        limits: Limits | None = None,
        follow: float = 0.0,
        log: AccessLog | None = None,
    ) -> None:
        limits = limits or Limits()
        self.models = models
        self.metrics = Exposition()
        self.draining = False
        """Whether the server is about to end: not ready, and each answer closes its connection."""
        self.reload: Callable[[], Awaitable[list[Change]]] = self.reload_own
        """What ``POST /reload`` does: all workers reload, if there are several."""
        self.switched: Callable[[], object] = lambda: None
        """Called when another bundle answers."""
        self._access = access or Access()
        self._follow = follow
        self._log = log
        self._bodies = Bodies(limits)
        self._batcher = Batcher[Asked, Reply](
            lambda asked: answer_all(models, self.metrics, asked),
            limits.batch,
            limits.queue,
            limits.deadline,
        )
        self._remembered = Remembered(models, self.metrics, limits.remembered)
        self._loader = ThreadPoolExecutor(1, "ncf-loader")
        self._follower: asyncio.Task[None] | None = None
        self._id = f"{os.urandom(4).hex()}-"
        self._count = itertools.count()
        self._show_serving()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def reload_own(self) -> list[Change]:
        """Look at the folders now, and switch to what is new."""
        loop = asyncio.get_running_loop()
        changes, closing = await loop.run_in_executor(
            self._loader, lambda: self.models.follow(self.metrics, again=True)
        )
        self._retire(closing)
        return changes

    def close(self) -> None:
        """Answer what waits, and end the threads."""
        if self._follower is not None:
            self._follower.cancel()
        self._batcher.close()
        self._loader.shutdown()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._start_following()
                await send({"type": "lifespan.startup.complete"})
            else:
                await asyncio.get_running_loop().run_in_executor(None, self.close)
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _serve(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        started = time.monotonic()
        headers: Headers = dict(scope["headers"])
        asked_id = headers.get(b"x-request-id", b"")
        own = f"{self._id}{next(self._count):x}".encode()
        request_id = asked_id if 0 < len(asked_id) <= 100 and asked_id.isascii() else own
        try:
            reply = await self._reply(scope, headers, receive)
        except GoneError:
            self.metrics.refused(499)
            return
        except Exception:
            logger.exception("request %s failed", request_id.decode())
            reply = error_reply(500, "internal", "failed; see the server's log")
        head = [
            (b"content-type", reply.content_type),
            (b"content-length", str(len(reply.body)).encode()),
            (b"x-request-id", request_id),
            *reply.headers,
        ]
        closing = self.draining or reply.unread
        if closing:
            head.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": reply.status, "headers": head})
        body = reply.body if scope["method"] != "HEAD" else b""
        if reply.unread:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await discard(receive)
            body = b""
        await send({"type": "http.response.body", "body": body})
        if self._log is not None:
            self._log.write(scope, reply, request_id, time.monotonic() - started)

    async def _reply(self, scope: Mapping[str, Any], headers: Headers, receive: Receive) -> Reply:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        route = find_route(scope["method"], path, self.models)
        if isinstance(route, Reply):
            self.metrics.refused(route.status)
            return route
        refusal = self._access.refusal(route, headers)
        if refusal is not None:
            self.metrics.refused(refusal.status)
            return refusal
        try:
            if route.asks:
                return await self._predict(route, headers, receive)
            return await self._inform(route)
        except tuple(_REFUSALS) as error:
            status, code, message = _REFUSALS[type(error)]
            self.metrics.refused(status)
            return error_reply(status, code, message, tensors=route.tensors)

    async def _predict(self, route: Route, headers: Headers, receive: Receive) -> Reply:
        self._start_following()
        if b"content-encoding" in headers:
            return error_reply(415, "bad_request", "send the body without Content-Encoding")
        body = await self._bodies.read(headers, receive)
        started = time.monotonic()
        try:
            return await self._remembered.answer(
                Question(route, headers, body),
                lambda: self._batcher.submit(Asked.of(route, headers, body), receive),
            )
        finally:
            self._bodies.held -= len(body)
            self.metrics.answered(time.monotonic() - started)

    async def _inform(self, route: Route) -> Reply:
        if route.action == "ready":
            if self.draining:
                return error_reply(503, "draining", "the server is about to end")
            return await self._batcher.submit(Asked(route))
        if route.action == "metrics":
            self._show_serving()
            loop = asyncio.get_running_loop()
            text = await loop.run_in_executor(None, self.metrics.show)
            return Reply(200, text, CONTENT_TYPE)
        if route.action == "reload":
            changes = await self.reload()
            refused = any(change.refused for change in changes)
            return json_reply({"models": list(map(vars, changes))}, 409 if refused else 200)
        return route.describe(self.models)

    def _start_following(self) -> None:
        if self._follower is None and self._follow > 0:
            self._follower = asyncio.ensure_future(self._follow_folders())

    async def _follow_folders(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._follow)
            try:
                _, closing = await loop.run_in_executor(
                    self._loader, lambda: self.models.follow(self.metrics)
                )
                self._retire(closing)
            except Exception:
                logger.exception("following the bundles failed; trying again")

    def _retire(self, services: list[Service]) -> None:
        """Close services once the batch under way is done, and free their memory."""
        for service in services:
            self._batcher.call(service.close)
        if services:
            services.clear()
            self._show_serving()
            self._remembered.forget()
            self.switched()
            self._batcher.call(gc.collect)

    def _show_serving(self) -> None:
        models = self.models
        self.metrics.serving([(name, models[name].model) for name in models.names()])
