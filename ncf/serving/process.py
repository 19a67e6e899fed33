"""Start, wait for and stop a TorchServe of our own, and touch no other."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from ncf.connections import connect
from ncf.errors import ArtifactError, CapabilityError, ServerError, UnreachableError, UsageError
from ncf.locks import writer_lock
from ncf.serving import tokens
from ncf.serving.check import Client, golden_user, read_token
from ncf.serving.environment import environment, inherited
from ncf.serving.logs import CONSOLE, last_line, last_words
from ncf.serving.settings import TOKEN_FILE, Settings

_STOPS_WITHIN = 20.0  # seconds
_DESCRIBES_WITHIN = 10.0
_SCALES_WITHIN = 300.0
_PAUSE = 0.1


@dataclass(frozen=True)
class Server:
    """A running TorchServe that answers.

    Parameters
    ----------
    settings : Settings
        Settings of this server.
    process : subprocess.Popen
        The process of ``torchserve``, which waits for Java.
    user : str
        Raw id of a trained user.
    """

    settings: Settings
    process: "subprocess.Popen[bytes]"
    user: str

    @property
    def token_file(self) -> Path:
        """Path of the file of tokens."""
        return self.settings.state / TOKEN_FILE

    def client(self) -> Client:
        """Make a client with a token that is valid now."""
        return Client(self.settings.url, self.settings.name, self.token_file)

    def workers(self) -> list[dict[str, Any]]:
        """Describe the workers as TorchServe does: ``pid``, ``status``, ...

        Raises
        ------
        ServerError
            The management API does not answer.
        UsageError
            There is no token yet.
        """
        described: list[dict[str, Any]] = self._manage("GET", {}, _DESCRIBES_WITHIN)[0]["workers"]
        return described

    def scale(self, workers: int) -> None:
        """Set the number of workers, and wait until all are up.

        Raises
        ------
        ServerError
            TorchServe could not start them.
        """
        count = str(workers)
        wanted = {"min_worker": count, "max_worker": count, "synchronous": "true"}
        self._manage("PUT", wanted, _SCALES_WITHIN)

    def _manage(self, method: str, parameters: dict[str, str], within: float) -> Any:  # noqa: ANN401 - JSON
        settings = self.settings
        url = f"{settings.management_url}/models/{settings.name}"
        try:
            with connect(url, read_token(self.token_file, "management")) as session:
                answer = session.request(method, url, params=parameters, timeout=within)
            answer.raise_for_status()
            return answer.json()
        except requests.RequestException as error:
            raise ServerError(f"management API: {error}", where=settings.logs) from error


@contextlib.contextmanager
def running(settings: Settings, workers: int, within: float) -> Iterator[Server]:
    """Serve until the block ends; the block starts once a real prediction has succeeded.

    Parameters
    ----------
    settings : Settings
        Settings, whose files are written first.
    workers : int
        Number of processes that score.
    within : float
        Most seconds to wait for the first answer.

    Raises
    ------
    ArtifactError
        There is nothing to serve, or the worker does not start; the message gives the worker's
        last error.
    UnreachableError, StorageError, LockedError
        A port is taken, or the state folder cannot be written or belongs to another server.
    CapabilityError
        There is no Java, or this is Windows.
    ServerError
        TorchServe does not start.
    """
    if sys.platform == "win32":  # stopping its workers takes POSIX sessions and signals
        raise CapabilityError(
            "'ncf serve' does not run on Windows", remedy="run it on Linux or macOS, or in WSL"
        )
    user, digest = golden_user(settings.archive)
    settings.make_folders()
    with writer_lock(settings.state / "server"):
        settings.ports.check_free()
        process = _start(settings, workers)
        patience = 0.0  # no request is under way yet
        try:
            server = Server(settings, process, user)
            _wait(server, digest, within)
            if workers > 1:
                server.scale(workers)
            patience = _STOPS_WITHIN
            yield server
        finally:
            _stop(settings, process, patience)


def _start(settings: Settings, workers: int) -> "subprocess.Popen[bytes]":
    added = environment(settings, workers)
    _clear(settings)
    settings.write()
    with (settings.logs / f"{CONSOLE}.log").open("wb") as console:
        return subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            [sys.executable, "-m", "ts.model_server", *settings.arguments()],
            cwd=settings.state,
            env=inherited() | added,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in a terminal reaches us alone; we stop it
        )


def _wait(server: Server, digest: str, within: float) -> None:
    settings = server.settings
    logs, archive = settings.logs, settings.archive
    deadline = time.monotonic() + within
    while not _answers(server, digest):
        if (status := server.process.poll()) is not None:
            raise ServerError(f"TorchServe ended with {status}: {last_line(logs)}", where=logs)
        if refusal := last_words(logs):
            raise ArtifactError(
                f"the worker does not start: {refusal}",
                where=archive,
                remedy=f"export it again, or read the logs in {logs}",
            )
        if time.monotonic() > deadline:
            raise ServerError(f"no answer within {within:.0f} s: {last_line(logs)}", where=logs)
        time.sleep(_PAUSE)


def _answers(server: Server, digest: str) -> bool:
    """Whether a worker is up, and a real prediction by the model that we started succeeds."""
    try:
        # A prediction before that would wait in a queue.
        if not any(worker["status"] == "READY" for worker in server.workers()):
            return False
        return bool(server.client().predict(server.user)["model"] == digest)
    except (CapabilityError, UnreachableError, UsageError, ServerError):
        return False


def _stop(settings: Settings, process: "subprocess.Popen[bytes]", patience: float) -> None:
    """Stop Java, which stops its workers, then the rest of the session."""
    with contextlib.suppress(OSError, ValueError):
        java = int((settings.temporary / ".model_server.pid").read_text())
        if os.getsid(java) == process.pid:
            os.kill(java, signal.SIGTERM)
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    finally:  # also on a second Ctrl-C, which ends the waiting
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(settings.temporary, ignore_errors=True)


def _clear(settings: Settings) -> None:
    """Remove an earlier server's tokens and unpacked archives, and move its logs aside."""
    for name in (TOKEN_FILE, tokens.TOKEN_FILE, tokens.ADMIN_FILE):
        (settings.state / name).unlink(missing_ok=True)
    shutil.rmtree(settings.temporary, ignore_errors=True)
    earlier = settings.logs / "earlier"
    earlier.mkdir(exist_ok=True)
    for log in settings.logs.glob("*.log"):
        log.replace(earlier / log.name)
