"""TorchServe as ``ncf serve --server torchserve`` starts it."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import requests

from ncf.serving.check import read_token
from ncf.serving.settings import TOKEN_FILE, Ports
from tests.handlers.environment import free_ports
from tests.serving.served import Served, served

_WITHIN = 60.0  # seconds


def arguments(store: Path, state: Path, ports: Ports) -> list[str]:
    """Options of ``ncf serve``."""
    words = ["serve", "--model-store", str(store), "--state", str(state)]
    words += ["--server", "torchserve"]
    for each in fields(ports):
        words += [f"--{each.name.replace('_', '-')}", str(getattr(ports, each.name))]
    return words


def some_ports() -> Ports:
    """Five free ports."""
    return Ports(*free_ports(5))


@dataclass
class Live(Served):
    """A TorchServe that this test run started."""

    state: Path = field(kw_only=True)
    ports: Ports = field(kw_only=True)

    @property
    def token(self) -> str:
        """Token of predictions."""
        return read_token(self.state / TOKEN_FILE, "inference")

    def manage(self, method: str, path: str, **parameters: str) -> requests.Response:
        """Call the management API."""
        token = read_token(self.state / TOKEN_FILE, "management")
        return requests.request(
            method,
            f"http://127.0.0.1:{self.ports.management_port}/{path}",
            params=parameters,
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )

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
    with served([*arguments(store, state, ports), *options], stop=stop) as (process, said):
        yield Live(process, f"http://127.0.0.1:{ports.port}", said, state=state, ports=ports)


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
