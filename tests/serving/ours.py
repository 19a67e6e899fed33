"""Our server as a process of its own, under uvicorn (``ncf serve``) or granian, and clients."""

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from ncf.connections import connect
from tests.handlers.environment import free_ports

NCF = [sys.executable, "-c", "from ncf.cli import main; main()"]
TOKEN = "a-token-of-the-tests"  # noqa: S105 - of a server on loopback
ADMIN = "an-admin-of-the-tests"


@dataclass
class Ours:
    """A server that this test run started."""

    process: "subprocess.Popen[str]"
    url: str
    introduction: str = ""
    _local: threading.local = field(default_factory=threading.local)

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

    @property
    def session(self) -> requests.Session:
        """The calling thread's connection."""
        if not hasattr(self._local, "session"):
            self._local.session = connect(self.url, TOKEN)
        session: requests.Session = self._local.session
        return session

    def predict(self, **request: object) -> requests.Response:
        """Ask for a list."""
        return self.post(json.dumps(request).encode())

    def get(self, path: str, token: str | None = TOKEN) -> requests.Response:
        """Get a page."""
        with connect(self.url, token) as session:
            answer: requests.Response = session.get(f"{self.url}/{path}", timeout=30)
            return answer

    def reload(self, token: str | None = ADMIN) -> requests.Response:
        """Have it look for a new bundle now."""
        with connect(self.url, token) as session:
            answer: requests.Response = session.post(f"{self.url}/reload", timeout=60)
            return answer

    def counted(self, name: str, **labels: str) -> float:
        """Sum a metric over what has these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = self.get("metrics").text.splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in lines
            if re.match(rf"{name}[{{ ]", line) and all(each in line for each in wanted)
        )

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(word) for word in path.read_text().split()]


@contextlib.contextmanager
def serving_ours(
    store: Path, *options: str, stop: signal.Signals | None = signal.SIGTERM, **more: str
) -> Iterator[Ours]:
    """Run ``ncf serve`` on a free port; when the block ends it gets a signal and must end well."""
    command = [*NCF, "serve", "--model-store", str(store), "--port", "0", *options]
    environment = os.environ | {"NCF_TOKEN": TOKEN, "NCF_ADMIN_TOKEN": ADMIN} | more
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            said = _introduction(process)
            (url,) = re.findall(r"^address +(https?://[^/]+)/", said, re.M)
            yield Ours(process, url, said)
            if stop is not None:
                process.send_signal(stop)
            status = process.wait(40)
        finally:
            process.kill()
    assert status == 0


@contextlib.contextmanager
def serving_granian(bundle: Path) -> Iterator[Ours]:
    """Run the application under granian."""
    (port,) = free_ports(1)
    words = "--interface asgi --factory --host 127.0.0.1 --no-log --workers 1"
    command = [sys.executable, "-m", "granian", *words.split(), "--port", str(port)]
    environment = os.environ | {"NCF_BUNDLE": str(bundle), "NCF_TOKEN": TOKEN}
    with subprocess.Popen(
        [*command, "handlers.asgi:from_environment"], text=True, env=environment
    ) as process:
        ours = Ours(process, f"http://127.0.0.1:{port}")
        try:
            until_ready(ours)
            yield ours
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            finally:
                process.kill()


def until_ready(ours: Ours) -> None:
    """Wait until it says that it is ready."""
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(requests.ConnectionError):
            if ours.get("readyz", None).status_code == 200:
                return
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


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
def traffic(ours: Ours, users: list[str], clients: int) -> Iterator["queue.Queue[Any]"]:
    """Clients that ask all the time; yields (user, response or error) as they come."""
    done = threading.Event()
    answers: queue.Queue[Any] = queue.Queue()

    def ask(number: int) -> None:
        count = number
        while not done.is_set():
            user = users[count % len(users)]
            try:
                answers.put((user, ours.predict(user=user, k=5)))
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
