"""A worker process of ``ncf serve``: the application under uvicorn, on a socket it is handed.

    python -m handlers.worker CONTROL

``CONTROL`` is the number of a socket that is connected to the process which starts, reloads and
drains the workers (:mod:`ncf.serving.supervisor`). Both sides write one JSON object a line; the
first line has the settings.
"""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
import uvloop

from ncf.errors import FAULT, NcfError

logger = logging.getLogger(__name__)

_LAST_REQUESTS = 0.25  # seconds for requests of connections that were accepted last
_FIRST_REQUESTS = 2.0  # most seconds, while there are connections that asked nothing yet
_KEEP_ALIVE = 75  # seconds; proxies reuse connections for up to a minute
_SLACK = 2.0  # seconds, after the deadline of the last request


class _Server(uvicorn.Server):
    """uvicorn, which on a signal first closes connections one by one as they are answered."""

    def __init__(self, config: uvicorn.Config, worker: "Worker") -> None:
        super().__init__(config)
        self._worker = worker

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop taking requests, answer those that wait, then end."""
        del sig, frame
        asyncio.get_event_loop().call_soon_threadsafe(self._worker.drain)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port, answer whom it let in last, and then close the idle connections.

        To uvicorn, a connection whose first bytes are not read yet is idle.
        """
        for server in self.servers:
            server.close()
        began = time.monotonic()
        await asyncio.sleep(_LAST_REQUESTS)
        while time.monotonic() - began < _FIRST_REQUESTS and self._some_have_not_asked():
            await asyncio.sleep(_LAST_REQUESTS / 5)
        await super().shutdown(sockets)

    def _some_have_not_asked(self) -> bool:
        """Say whether a client connected that has not sent a head yet: a busy machine is slow."""
        return any(not each.asked for each in self.server_state.connections)  # type: ignore[union-attr]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell the supervisor as soon as the port is served."""
        await super().startup(sockets)
        self._worker.started()


class Worker:
    """One process that serves the port, under a supervisor.

    Parameters
    ----------
    control : socket
        Connected to the supervisor.
    settings : mapping
        Settings from the supervisor; see :meth:`ncf.serving.asgi.ServerSettings.for_worker`.
    """

    def __init__(self, control: socket.socket, settings: Mapping[str, Any]) -> None:
        # Imported here: the metrics look at the environment that the settings set.
        from handlers.access import Access, AccessLog  # noqa: PLC0415 - as above
        from handlers.application import Application  # noqa: PLC0415
        from handlers.connections import GuardedProtocol  # noqa: PLC0415
        from handlers.models import Models  # noqa: PLC0415
        from handlers.reading import Limits  # noqa: PLC0415

        self._control = control
        self._linger = float(settings["linger"])
        self._asked: dict[int, asyncio.Future[list[Any]]] = {}
        limits = Limits(
            sending=settings["sending"],
            deadline=settings["deadline"],
            queue=settings["queue"],
            remembered=settings["remember"] << 20,
        )
        self._sending = limits.sending
        folders = {name: Path(folder) for name, folder in settings["bundles"].items()}
        kept = {name: Path(folder) for name, folder in settings["kept"].items()}
        models = Models(folders, settings["canaries"], settings["lanes"], kept)
        self._app = Application(
            models,
            Access(settings["token"], settings["admin"]),
            limits,
            settings["follow"],
            AccessLog() if settings["access_log"] else None,
        )
        self._app.reload = self._reload_all
        self._app.switched = self._tell_bundles
        self._socket = socket.socket(fileno=settings["listen"])
        config = uvicorn.Config(
            self._app,
            http=GuardedProtocol,
            ws="none",
            loop="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=int(limits.deadline + limits.sending + _SLACK),
            ssl_certfile=settings["certificate"],
            ssl_keyfile=settings["key"],
        )
        self._server = _Server(config, self)

    async def run(self) -> None:
        """Serve until drained."""
        from handlers.connections import sweep  # noqa: PLC0415 - as above

        sweeping = asyncio.ensure_future(sweep(self._server.server_state, self._sending))
        listening = asyncio.ensure_future(self._obey())
        await self._server.serve(sockets=[self._socket])
        for task in (sweeping, listening):
            task.cancel()

    def started(self) -> None:
        """Tell that the port is served, and by which bundles."""
        self._tell_bundles()
        self._say(ready=True)

    def drain(self) -> None:
        """Answer what is here, let connections go, and end."""
        if not self._app.draining:
            self._app.draining = True
            asyncio.get_running_loop().call_later(self._linger, self._stop)

    def _tell_bundles(self) -> None:
        models = self._app.models
        self._say(serves={name: models[name].digest for name in models.names()})

    def _stop(self) -> None:
        self._server.should_exit = True

    async def _obey(self) -> None:
        """Do what the supervisor says; drain when it is gone."""
        reader, _ = await asyncio.open_connection(sock=self._control.dup())
        tasks: set[asyncio.Task[None]] = set()
        while line := await reader.readline():
            order = json.loads(line)
            if "reload" in order:
                task = asyncio.ensure_future(self._reload_own(order["reload"]))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            elif "reloaded" in order:
                waiting = self._asked.pop(order["reloaded"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(order["changes"])
            elif "drain" in order:
                self.drain()
        self.drain()

    async def _reload_own(self, number: int) -> None:
        changes = await self._app.reload_own()
        self._say(done=number, changes=[vars(change) for change in changes])

    async def _reload_all(self) -> "list[Any]":
        """Have every worker reload, this one too."""
        from handlers.following import Change  # noqa: PLC0415 - as above

        number = time.monotonic_ns()
        self._asked[number] = asyncio.get_running_loop().create_future()
        self._say(ask=number)
        return [Change(**each) for each in await self._asked[number]]

    def _say(self, **message: object) -> None:
        self._control.sendall(json.dumps(message).encode() + b"\n")


def _first_line(control: socket.socket) -> dict[str, Any]:
    line = b""
    while not line.endswith(b"\n"):
        part = control.recv(1)
        if not part:
            raise SystemExit(FAULT)
        line += part
    settings: dict[str, Any] = json.loads(line)
    return settings


def _log(settings: Mapping[str, Any]) -> None:
    """Warnings on standard error; with an access log, a line for each request there too."""
    logging.basicConfig(level=logging.WARNING, format=f"ncf: worker {os.getpid()}: %(message)s")
    logging.getLogger("handlers").setLevel(logging.INFO)
    # A client that sends no HTTP is not worth a line.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    if settings["access_log"]:
        access = logging.getLogger("ncf.access")
        access.setLevel(logging.INFO)
        access.propagate = False
        access.addHandler(logging.StreamHandler(sys.stdout))


def main() -> None:
    """Run a worker; an error at the start goes to the supervisor, in one line."""
    control = socket.socket(fileno=int(sys.argv[1]))
    settings = _first_line(control)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until uvicorn takes it
    _log(settings)
    try:
        worker = Worker(control, settings)
    except NcfError as error:
        failed = {"failed": str(error), "code": error.exit_code}
        control.sendall(json.dumps(failed).encode() + b"\n")
        raise SystemExit(error.exit_code) from None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(worker.run())


if __name__ == "__main__":
    main()
