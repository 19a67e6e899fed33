"""Our server as a process of its own, under uvicorn (``ncf serve``) or another ASGI server."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from ncf.connections import connect
from tests.handlers.environment import free_ports
from tests.serving.served import Served, served

TOKEN = "a-token-of-the-tests"  # noqa: S105 - of a server on loopback
ADMIN = "an-admin-of-the-tests"


@dataclass
class Ours(Served):
    """A server of ours that this test run started."""

    @property
    def token(self) -> str:
        """Token of predictions."""
        return TOKEN

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
    words = ["serve", "--model-store", str(store), "--port", "0", *options]
    environment = os.environ | {"NCF_TOKEN": TOKEN, "NCF_ADMIN_TOKEN": ADMIN} | more
    with served(words, environment, stop) as (process, said):
        (url,) = re.findall(r"^address +(https?://[^/]+)/", said, re.M)
        yield Ours(process, url, said)


@contextlib.contextmanager
def serving_granian(bundle: Path) -> Iterator[Ours]:
    """Run the application under granian."""
    (port,) = free_ports(1)
    words = "-m granian --interface asgi --factory --host 127.0.0.1 --no-log --workers 1"
    command = [*words.split(), "--port", str(port), "handlers.asgi:from_environment"]
    with serving_elsewhere(command, port, NCF_BUNDLE=str(bundle), NCF_TOKEN=TOKEN) as ours:
        yield ours


@contextlib.contextmanager
def serving_elsewhere(
    words: Sequence[str], port: int, prefix: str = "", **more: str
) -> Iterator[Ours]:
    """Run the application by another program of Python, which serves it below ``prefix``."""
    with subprocess.Popen([sys.executable, *words], text=True, env=os.environ | more) as process:
        ours = Ours(process, f"http://127.0.0.1:{port}{prefix}")
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
