"""An environment with TorchServe and what an archive needs, and this project not installed."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import requests

from ncf.doctor import find_java

SERVING = ("torchserve", "torch", "onnxruntime-gpu", "numpy", "pyyaml")
_STARTS_WITHIN = 90.0  # seconds


def make_environment(folder: Path, packages: tuple[str, ...] = SERVING) -> Path:
    """Make a virtual environment of some installed packages and what they need; its python."""
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in _with_requirements(packages):
        distribution = metadata.distribution(name)
        tops = {Path(str(file)).parts[0] for file in distribution.files or ()}
        for top in sorted(tops - {"..", "__pycache__"}):
            link = site / top
            if not link.exists():
                link.symlink_to(str(distribution.locate_file(top)))
    return folder / "bin" / "python"


def _with_requirements(packages: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    waiting = list(packages)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        with contextlib.suppress(metadata.PackageNotFoundError):
            required = metadata.distribution(name).requires or ()
            waiting += [
                re.split(r"[^A-Za-z0-9._-]", each, maxsplit=1)[0].lower()
                for each in required
                if "extra ==" not in each
            ]
            found.add(name)
    return found


@dataclass(frozen=True)
class Server:
    """A TorchServe that this test started."""

    url: str
    management: str
    folder: Path

    def predict(self, body: object, content_type: str = "application/json") -> requests.Response:
        """Ask the model: ``body`` as JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": content_type}
        url = f"{self.url}/predictions/ncf"
        return requests.post(url, data=data, headers=headers, timeout=30)

    def log(self) -> str:
        """Everything it wrote."""
        return (self.folder / "output.log").read_text(errors="replace")


@contextlib.contextmanager
def torchserve(python: Path, archive: Path, folder: Path) -> Iterator[Server]:
    """Serve an archive on free loopback ports; ends what it started."""
    ports = free_ports(5)
    folder.mkdir()
    lines = [
        f"inference_address=http://127.0.0.1:{ports[0]}",
        f"management_address=http://127.0.0.1:{ports[1]}",
        f"metrics_address=http://127.0.0.1:{ports[2]}",
        f"grpc_inference_port={ports[3]}",
        f"grpc_management_port={ports[4]}",
        "disable_token_authorization=true",
        f"vmargs=-Xmx512m -Djava.io.tmpdir={folder}",
    ]
    (folder / "config.properties").write_text("\n".join(lines) + "\n")
    java = Path(str(find_java()))
    environment = {
        "PATH": os.pathsep.join([str(python.parent), str(java.parent), os.environ["PATH"]]),
        "JAVA_HOME": str(java.parent.parent),
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    words = f"-m ts.model_server --start --foreground --ncs --models ncf={archive}"
    command = [str(python), *words.split(), "--model-store", str(archive.parent)]
    command += ["--ts-config", str(folder / "config.properties")]
    with (
        (folder / "output.log").open("wb") as log,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            inference, management = (f"http://127.0.0.1:{port}" for port in ports[:2])
            yield Server(inference, management, folder)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def wait_until_it_answers(server: Server, body: object) -> requests.Response:
    """Ask until the model answers: TorchServe's own ping is green before any worker is up."""
    deadline = time.monotonic() + _STARTS_WITHIN
    while True:
        with contextlib.suppress(requests.ConnectionError):
            answer = server.predict(body)
            if answer.status_code == 200:
                return answer
        if time.monotonic() > deadline:
            raise TimeoutError(server.log()[-3000:])
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


if __name__ == "__main__":
    sys.stdout.write(f"{make_environment(Path(sys.argv[1]))}\n")
