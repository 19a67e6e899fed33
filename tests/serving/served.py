"""``ncf serve`` as a process of its own, whichever server it starts, and clients of it."""

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import requests

from ncf.connections import connect

NCF = [sys.executable, "-c", "from ncf.cli import main; main()"]


@dataclass
class Served:
    """A server that this test run started."""

    process: "subprocess.Popen[str]"
    url: str
    introduction: str = ""
    _local: threading.local = field(default_factory=threading.local)

    @property
    def token(self) -> str | None:
        """Token of predictions."""
        raise NotImplementedError

    @property
    def session(self) -> requests.Session:
        """The calling thread's connection."""
        if not hasattr(self._local, "session"):
            self._local.session = connect(self.url, self.token)
        session: requests.Session = self._local.session
        return session

    def post(
        self,
        body: bytes,
        content_type: str = "application/json",
        path: str = "predictions/ncf",
        **headers: str,
    ) -> requests.Response:
        """Post bytes as they are, over the calling thread's connection."""
        given = {"Content-Type": content_type, **headers}
        answer: requests.Response = self.session.post(
            f"{self.url}/{path}", data=body, headers=given, timeout=30
        )
        return answer

    def predict(self, **request: object) -> requests.Response:
        """Ask for a list."""
        return self.post(json.dumps(request).encode())


@contextlib.contextmanager
def served(
    words: Sequence[str],
    environment: Mapping[str, str] | None = None,
    stop: signal.Signals | None = signal.SIGTERM,
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run ``ncf`` with some words; gives the process and what it printed once it serves.

    When the block ends it gets a signal, unless that is None, and must end well.
    """
    with subprocess.Popen(
        [*NCF, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process, _introduction(process)
            if stop is not None:
                process.send_signal(stop)
            status = process.wait(40)
        except BaseException:
            process.send_signal(signal.SIGTERM)  # TorchServe outlives a parent that is killed
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(40)
            raise
        finally:
            process.kill()
    assert status == 0


def _introduction(process: "subprocess.Popen[str]") -> str:
    lines = []
    assert process.stdout is not None
    assert process.stderr is not None
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            return "".join(lines)
    raise AssertionError("".join(lines) + process.stderr.read())


@contextlib.contextmanager
def traffic(server: Served, users: list[str], clients: int) -> Iterator["queue.Queue[Any]"]:
    """Clients that ask all the time; yields (user, response or error) as they come."""
    done = threading.Event()
    answers: queue.Queue[Any] = queue.Queue()

    def ask(number: int) -> None:
        count = number
        while not done.is_set():
            user = users[count % len(users)]
            try:
                answers.put((user, server.predict(user=user, k=5)))
            except requests.RequestException as error:
                answers.put((user, error))
            count += clients

    with ThreadPoolExecutor(clients) as pool:
        futures = [pool.submit(ask, number) for number in range(clients)]
        try:
            yield answers
        finally:
            done.set()
    for future in futures:
        future.result()


def drained(answers: "queue.Queue[Any]") -> list[Any]:
    """Everything in a queue."""
    found = []
    with contextlib.suppress(queue.Empty):
        while True:
            found.append(answers.get_nowait())
    return found
