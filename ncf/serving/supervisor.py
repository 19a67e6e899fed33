"""Start, watch, reload and drain the worker processes of our server."""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ncf.connections import is_loopback
from ncf.errors import TEMPORARY, ArtifactError, CapabilityError, NcfError, ServerError
from ncf.extras import require
from ncf.files import storage_errors
from ncf.locks import writer_lock
from ncf.serving.asgi import ServerSettings
from ncf.serving.kept import Kept
from ncf.serving.reloads import Reloads, Worker
from ncf.serving.settings import TOKEN_FILE
from ncf.serving.tokens import Tokens

logger = logging.getLogger(__name__)

Introduce = Callable[[int, Tokens], None]
_MODULE = "handlers.worker"
_SLACK = 15.0  # seconds to end, after the deadline of the last request
_SOON = 10.0  # a worker that ends earlier waits before it is started again
_MOST_PAUSE = 10.0


class Supervisor:
    """Runs the workers of a server.

    Parameters
    ----------
    settings : ServerSettings
        What is served, and how.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._workers: set[Worker] = set()
        self._listening: socket.socket | None = None
        self._scratch: Path | None = None
        self._kept = Kept(None)
        self._ending = asyncio.Event()
        self._up = asyncio.Event()
        self._failure: NcfError | None = None
        self._reloads = Reloads(self._workers)
        self._tokens = Tokens()

    async def run(self, introduce: Introduce, within: float) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP looks for a new bundle.

        Parameters
        ----------
        introduce : callable
            Called with the port and the tokens once every worker answers.
        within : float
            Most seconds to wait for that.

        Raises
        ------
        LockedError, UsageError
            The port cannot be taken.
        ArtifactError, ServerError
            A worker does not start; the message says why.
        """
        self._listening = self._settings.listen()
        port = self._listening.getsockname()[1]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        loop.add_signal_handler(signal.SIGHUP, self._reloads.begin)
        try:
            self._tokens = self._settings.tokens.find()
            self._make_scratch()
            keeping = [asyncio.ensure_future(self._keep()) for _ in range(self._settings.workers)]
            try:
                await self._wait_until_up(keeping, within)
                if not self._ending.is_set():
                    introduce(port, self._tokens)
                    await self._ending.wait()
            finally:
                await self._drain(keeping)
        finally:
            self._listening.close()
            self._kept.close()
            if self._scratch is not None:
                shutil.rmtree(self._scratch, ignore_errors=True)

    async def _wait_until_up(self, keeping: list["asyncio.Task[None]"], within: float) -> None:
        waiting = [asyncio.ensure_future(each.wait()) for each in (self._up, self._ending)]
        every: list[asyncio.Task[Any]] = [*keeping, *waiting]
        try:
            await asyncio.wait(every, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
        if self._failure is not None:
            raise self._failure
        if not self._up.is_set() and not self._ending.is_set():
            raise ServerError(
                f"no worker was ready within {within:.0f} s", remedy="give it longer with `wait`"
            )

    async def _keep(self) -> None:
        """Keep one worker alive: start another when it ends."""
        pause = 0.0
        while not self._ending.is_set():
            worker = await self._start()
            await self._listen_to(worker)
            status = await worker.process.wait()
            self._forget(worker)
            self._reloads.forget(worker)
            if self._ending.is_set() or self._failure is not None:
                return
            if not self._up.is_set():
                self._fail(f"a worker ended with {status} before it was ready", TEMPORARY)
                return
            lived = time.monotonic() - worker.started
            pause = 0.0 if lived > _SOON else min(_MOST_PAUSE, max(0.1, 2 * pause))
            logger.warning("worker %d ended with %d: starting another", worker.process.pid, status)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)

    def _forget(self, worker: Worker) -> None:
        self._workers.discard(worker)
        if self._scratch is not None:  # what it served now; what it has counted stays
            for file in self._scratch.glob(f"gauge_live*_{worker.process.pid}.db"):
                file.unlink(missing_ok=True)

    async def _start(self) -> Worker:
        ours, theirs = socket.socketpair()
        assert self._listening is not None  # noqa: S101 - run() made it
        files = (theirs.fileno(), self._listening.fileno())
        environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
        if self._settings.workers > 1:
            environment["PROMETHEUS_MULTIPROC_DIR"] = str(self._scratch)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", _MODULE, str(files[0])),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=files,
                env=environment,
                start_new_session=True,  # Ctrl-C in a terminal reaches us alone; we drain it
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        worker = Worker(process, reader, writer)
        self._workers.add(worker)
        settings = self._settings.for_worker(files[1], self._tokens)
        worker.say(**settings, kept=self._kept.folders())
        return worker

    async def _listen_to(self, worker: Worker) -> None:
        """Take what a worker says until it ends."""
        with contextlib.suppress(OSError):
            while line := await worker.reader.readline():
                said = json.loads(line)
                if "serves" in said:
                    for name, digest in said["serves"].items():
                        self._kept.keep(name, self._settings.bundles[name], digest)
                elif "ready" in said:
                    worker.ready = True
                    if sum(each.ready for each in self._workers) == self._settings.workers:
                        self._up.set()
                elif "failed" in said and not self._up.is_set():
                    self._fail(said["failed"], said["code"])
                elif "failed" in said:
                    logger.warning("a worker does not start: %s", said["failed"])
                elif "ask" in said:
                    self._reloads.begin(worker, said["ask"])
                elif "done" in said:
                    self._reloads.done(said["done"], worker, said["changes"])
        worker.writer.close()

    def _fail(self, problem: str, code: int) -> None:
        kind = ServerError if code == TEMPORARY else ArtifactError
        remedy = "read the lines above" if code == TEMPORARY else ""
        self._failure = self._failure or kind(problem, remedy=remedy)

    async def _drain(self, keeping: list["asyncio.Task[None]"]) -> None:
        self._ending.set()
        if self._listening is not None:
            self._listening.close()
        for worker in self._workers:
            worker.say(drain=True)
        patience = self._settings.deadline + self._settings.sending + _SLACK
        if self._failure is None:
            await asyncio.wait(keeping, timeout=patience)
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()
        await asyncio.wait(keeping, timeout=_SLACK)

    def _make_scratch(self) -> None:
        """Make a folder for counts of several workers and for links to what is kept."""
        try:
            self._scratch = Path(tempfile.mkdtemp(prefix="ncf-serve-"))
        except OSError:
            if self._settings.workers > 1:
                with storage_errors(Path(os.environ.get("TMPDIR", "/tmp"))):  # noqa: S108 - to say
                    raise
        self._kept = Kept(self._scratch)


def serve(settings: ServerSettings, introduce: Introduce, within: float) -> None:
    """Serve until SIGTERM or SIGINT: see :meth:`Supervisor.run`.

    Raises
    ------
    CapabilityError
        uvicorn is not installed, or this is Windows.
    """
    if sys.platform == "win32":
        raise CapabilityError(
            "'ncf serve' does not run on Windows", remedy="run it on Linux or macOS, or in WSL"
        )
    require("uvicorn", "uvloop", "httptools", "orjson", user="'ncf serve'")
    settings.check()
    if settings.certificate is None and not is_loopback(f"http://{settings.host}"):
        logger.warning("%s is beyond this machine: tokens go there unencrypted", settings.host)

    async def run() -> None:
        await Supervisor(settings).run(introduce, within)

    tokens = settings.tokens
    if not tokens.makes:
        asyncio.run(run())
        return
    with writer_lock(tokens.state / "server"):
        (tokens.state / TOKEN_FILE).unlink(missing_ok=True)  # of a TorchServe before
        asyncio.run(run())
