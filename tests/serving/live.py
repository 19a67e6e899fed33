"""``ncf serve`` as a process of its own, and clients of it."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import requests

from ncf.serving.check import read_token
from ncf.serving.settings import TOKEN_FILE, Ports
from tests.handlers.environment import free_ports

NCF = [sys.executable, "-c", "from ncf.cli import main; main()"]
_WITHIN = 60.0  # seconds
_local = threading.local()


def arguments(store: Path, state: Path, ports: Ports) -> list[str]:
    """Options of ``ncf serve``."""
    words = ["serve", "--model-store", str(store), "--state", str(state)]
    words += ["--server", "torchserve"]
    for field in fields(ports):
        words += [f"--{field.name.replace('_', '-')}", str(getattr(ports, field.name))]
    return words


def some_ports() -> Ports:
    """Five free ports."""
    return Ports(*free_ports(5))


@dataclass(frozen=True)
class Live:
    """A server that this test run started."""

    process: "subprocess.Popen[str]"
    introduction: str
    state: Path
    ports: Ports

    @property
    def url(self) -> str:
        """Address of predictions."""
        return f"http://127.0.0.1:{self.ports.port}"

    def post(
        self, body: bytes, content_type: str = "application/json", path: str = "predictions/ncf"
    ) -> requests.Response:
        """Post bytes as they are, over the calling thread's connection."""
        if not hasattr(_local, "session"):
            _local.session = requests.Session()
        headers = {**self.authorised("inference"), "Content-Type": content_type}
        answer: requests.Response = _local.session.post(
            f"{self.url}/{path}", data=body, headers=headers, timeout=30
        )
        return answer

    def predict(self, **request: object) -> requests.Response:
        """Ask for a list."""
        return self.post(json.dumps(request).encode())

    def manage(self, method: str, path: str, **parameters: str) -> requests.Response:
        """Call the management API."""
        return requests.request(
            method,
            f"http://127.0.0.1:{self.ports.management_port}/{path}",
            params=parameters,
            headers=self.authorised("management"),
            timeout=60,
        )

    def authorised(self, kind: str) -> dict[str, str]:
        """Headers with a token."""
        return {"Authorization": f"Bearer {read_token(self.state / TOKEN_FILE, kind)}"}

    def workers(self, version: str = "1.0") -> list[int]:
        """Process ids of the workers of a version."""
        (described,) = self.manage("GET", f"models/ncf/{version}").json()
        return [worker["pid"] for worker in described["workers"]]

    def metrics(self) -> str:
        """What the metrics endpoint shows."""
        url = f"http://127.0.0.1:{self.ports.metrics_port}/metrics"
        return requests.get(url, timeout=30).text

    def wait_until_it_answers(self) -> None:
        """Ask until a prediction succeeds."""
        deadline = time.monotonic() + _WITHIN
        while self.predict(user="u3").status_code != 200:
            if time.monotonic() > deadline:
                raise TimeoutError((self.state / "logs" / "server.log").read_text()[-3000:])
            time.sleep(0.1)


@contextlib.contextmanager
def serving(
    store: Path, state: Path, *options: str, stop: signal.Signals = signal.SIGINT
) -> Iterator[Live]:
    """Run ``ncf serve``; when the block ends it gets a signal and must end well."""
    ports = some_ports()
    command = [*NCF, *arguments(store, state, ports), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield Live(process, _introduction(process), state, ports)
        finally:
            process.send_signal(stop)
            try:
                status = process.wait(40)
            finally:
                process.kill()
    assert status == 0


def _introduction(process: "subprocess.Popen[str]") -> str:
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


@contextlib.contextmanager
def traffic(live: Live, users: list[str], clients: int) -> Iterator["queue.Queue[Any]"]:
    """Clients that ask all the time; yields (user, response or error) as they come."""
    done = threading.Event()
    answers: queue.Queue[Any] = queue.Queue()

    def ask(number: int) -> None:
        count = number
        while not done.is_set():
            user = users[count % len(users)]
            try:
                answers.put((user, live.predict(user=user, k=5)))
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


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
