"""Settings of our own server: what it serves, where, to whom, and within which limits."""

import errno
import json
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ncf.devices import usable_cores
from ncf.errors import ArtifactError, LockedError, UsageError
from ncf.scoring.bundle import GOLDEN_FILE
from ncf.scoring.manifest import BUNDLE
from ncf.serving.tokens import Tokens, TokenSources

_CANARY = re.compile(r"([A-Za-z0-9_-]{1,100})=(\d+(?:\.\d+)?)%")
_BACKLOG = 2048


@dataclass(frozen=True)
class ServerSettings:
    """Settings of our server.

    Parameters
    ----------
    store : Path
        Folder of exported bundles.
    tokens : TokenSources
        Where the tokens come from.
    name : str
        Name of the bundle that is served first.
    canaries : mapping of str to float
        Share of the first model's users, 0 to 1, that another bundle of the store answers for.
    host : str
        Address to listen on.
    port : int
        Port to listen on; 0 takes a free one.
    workers : int
        Number of processes.
    certificate, key : Path or None
        Files of TLS, in PEM.
    access_log : bool
        Whether to print a JSON object for each request.
    follow : float
        Seconds between looks for a new bundle; 0 never looks.
    sending : float
        Most seconds for a client to send a head, and a body.
    deadline : float
        Most seconds until an answer.
    queue : int
        Most requests that wait in a worker.
    remember : int
        Most MiB that remembered answers take in a worker; 0 remembers none.
    linger : float
        Seconds between the signal to end and the closing of the port.
    """

    store: Path
    tokens: TokenSources
    name: str = "ncf"
    canaries: Mapping[str, float] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    certificate: Path | None = None
    key: Path | None = None
    access_log: bool = False
    follow: float = 2.0
    sending: float = 10.0
    deadline: float = 10.0
    queue: int = 1000
    remember: int = 16
    linger: float = 0.5

    @property
    def bundles(self) -> dict[str, Path]:
        """Folders of the bundles by name, the first model's first."""
        return {name: self.store / name for name in dict.fromkeys([self.name, *self.canaries])}

    @property
    def lanes(self) -> int:
        """Calls of a graph that may run side by side in a worker."""
        return max(1, usable_cores() // self.workers)

    def check(self) -> None:
        """Refuse what cannot be served, before any process is started.

        Raises
        ------
        ArtifactError
            There is no such bundle.
        UsageError
            The canaries take more users than there are, or the files of TLS do not fit.
        """
        for folder in self.bundles.values():
            if not (folder / BUNDLE.manifest).is_file():
                raise ArtifactError(
                    f"not a {BUNDLE.noun} ({BUNDLE.manifest} is missing)",
                    where=folder,
                    remedy="'ncf export' writes it; see `model_store` and `name`",
                )
        if self.name in self.canaries:
            raise UsageError(
                f"{self.name!r} cannot be its own canary", remedy="name another bundle"
            )
        if (self.certificate is None) != (self.key is None):
            raise UsageError("TLS takes two files", remedy="give `certificate` and `key`")
        if self.certificate is not None and self.key is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            try:
                context.load_cert_chain(self.certificate, self.key)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(
                    f"not a certificate in PEM with its key ({error})",
                    where=self.certificate,
                    remedy="see `certificate` and `key`",
                ) from error

    def listen(self) -> socket.socket:
        """Take the port.

        Raises
        ------
        LockedError
            Another program listens there.
        UsageError
            The address is not one of this machine, or the port may not be taken.
        """
        try:
            family = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0][0]
            listening = socket.socket(family, socket.SOCK_STREAM)
        except (OSError, OverflowError, UnicodeError) as error:
            raise UsageError(f"`host` {self.host!r}: {error}", remedy="give an address") from error
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self.host, self.port))
            listening.listen(_BACKLOG)
        except (OSError, OverflowError) as error:
            listening.close()
            taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            if taken:
                raise LockedError(
                    f"port {self.port} on {self.host} is taken",
                    remedy="stop what listens there, or choose another `port`",
                ) from error
            raise UsageError(
                f"port {self.port} on {self.host}: {error}", remedy="choose another `port`"
            ) from error
        listening.settimeout(0)
        return listening

    def for_worker(self, listening: int, tokens: Tokens) -> dict[str, Any]:
        """Make what a worker is told, as JSON values; ``listening`` is the port's file."""
        return {
            "listen": listening,
            "bundles": {name: str(folder) for name, folder in self.bundles.items()},
            "canaries": dict(self.canaries),
            "lanes": self.lanes,
            "token": tokens.token,
            "admin": tokens.admin,
            "certificate": None if self.certificate is None else str(self.certificate),
            "key": None if self.key is None else str(self.key),
            "access_log": self.access_log,
            "follow": self.follow,
            "sending": self.sending,
            "deadline": self.deadline,
            "queue": self.queue,
            "remember": self.remember,
            "linger": self.linger,
        }


def read_canaries(given: Sequence[str]) -> dict[str, float]:
    """Read options such as ``next=5%``.

    Raises
    ------
    UsageError
        One is malformed, or all take more than every user.

    Examples
    --------
    >>> read_canaries(["next=5%", "other=0%"])
    {'next': 0.05, 'other': 0.0}
    """
    found = {}
    for each in given:
        match = _CANARY.fullmatch(each)
        if match is None or float(match[2]) > 100:
            raise UsageError(f"`canary` {each!r} is no NAME=SHARE%", remedy="write next=5%")
        found[match[1]] = float(match[2]) / 100
    return found


def first_user(bundle: Path) -> str:
    """Read the first user of a bundle's golden requests, for an example; empty if unreadable."""
    try:
        user: str = json.loads((bundle / GOLDEN_FILE).read_bytes())["answers"][0]["user"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return user
