"""Check a server with real predictions: whether it answers, how fast, and with which model."""

import json
import statistics
import time
import zipfile
from pathlib import Path
from typing import Any

import requests

from ncf import archives
from ncf.connections import connect, through_proxy
from ncf.errors import ArtifactError, CapabilityError, UnreachableError, UsageError
from ncf.serving import tokens
from ncf.serving.asgi import first_user
from ncf.serving.settings import TOKEN_FILE, Settings

_TIMEOUT = 10.0  # seconds
_DIGEST_SHOWN = 12
_OVERLOADED = {429, 502, 503, 504}  # statuses that may be gone soon


class Client:
    """Asks one model of a server for lists, over one connection.

    Parameters
    ----------
    url : str
        Address, such as ``http://127.0.0.1:8080``.
    name : str
        Name of the model.
    token_file : Path or None
        File of the token, or TorchServe's ``key_file.json``; None if the server asks for none.

    Raises
    ------
    UsageError
        The token file is missing or holds no token, or the URL is malformed.
    """

    def __init__(self, url: str, name: str, token_file: Path | None) -> None:
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"{url!r} is not a URL", remedy="begin it with http://")
        self.url = url.rstrip("/")
        self._name = name
        token = None if token_file is None else _token_in(token_file)
        self._session = connect(url, token)

    def predict(self, user: str, k: int = 10) -> dict[str, Any]:
        """Ask for one list.

        Raises
        ------
        UnreachableError
            Nothing answers, or it is too busy.
        CapabilityError
            The answer is not a list.
        """
        url = f"{self.url}/predictions/{self._name}"
        try:
            # A redirection could take the token elsewhere.
            answer = self._session.post(
                url, json={"user": user, "k": k}, timeout=_TIMEOUT, allow_redirects=False
            )
        except requests.RequestException as error:
            raise UnreachableError(
                f"no answer{through_proxy(url)} ({type(error).__name__})",
                where=self.url,
                remedy="see that the server runs and the address is right",
            ) from error
        if answer.status_code in _OVERLOADED:
            raise UnreachableError(
                f"status {answer.status_code}: {answer.text[:200]}",
                where=self.url,
                remedy="see the server's logs, or try again later",
            )
        if answer.status_code != 200:
            raise CapabilityError(
                f"status {answer.status_code}: {answer.text[:200]}",
                where=self.url,
                remedy="see `token_file`, `name` and `user`",
            )
        return _list_in(answer, self.url)


def read_token(path: Path, kind: str) -> str:
    """Read a token of a kind, ``inference`` or ``management``, from TorchServe's file.

    Raises
    ------
    UsageError
        The file is missing or is not TorchServe's.
    """
    try:
        token: str = json.loads(path.read_bytes())[kind]["key"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "not a token file of TorchServe", where=path, remedy="give `token_file`"
        ) from error
    return token


def _token_in(path: Path) -> str:
    """Read the token of predictions out of a file of either server."""
    try:
        begins = path.read_bytes()[:1]
    except OSError:
        begins = b""
    return read_token(path, "inference") if begins == b"{" else tokens.read_token(path)


def check_server(
    url: str,
    settings: Settings,
    token_file: Path | None = None,
    user: str | None = None,
    times: int = 20,
) -> dict[str, Any]:
    """Ask for a number of predictions and time them; see :func:`measure`.

    Parameters
    ----------
    url : str
        Address, such as ``http://127.0.0.1:8080``.
    settings : Settings
        Give the model's name, the archive, which names a user if none is given, and the state
        folder, which holds a token if no file is given.
    token_file : Path, optional
        File of the token, or TorchServe's ``key_file.json``.
    user : str, optional
        Raw id of the user to ask for.
    times : int
        Number of predictions timed.

    Raises
    ------
    UsageError
        No user is given, and there is no bundle or archive to name one.
    UnreachableError
        Nothing answers, or it is too busy.
    CapabilityError
        The answer is not a list.
    """
    own = [settings.state / name for name in (tokens.TOKEN_FILE, TOKEN_FILE)]
    found = token_file or next((path for path in own if path.exists()), None)
    if user is None:
        user = first_user(settings.store / settings.name)
    if not user:
        if not settings.archive.is_file():
            raise UsageError("give `user`, or `model_store` and `name` of the archive")
        user, _ = golden_user(settings.archive)
    return measure(Client(url, settings.name, found), user, times)


def measure(client: Client, user: str, times: int) -> dict[str, Any]:
    """Time a number of predictions: figures of latency in milliseconds, and the model's digest.

    Raises
    ------
    UnreachableError, CapabilityError
        A prediction failed.
    """
    answer = client.predict(user)
    latencies = []
    for _ in range(times):
        started = time.perf_counter()
        answer = client.predict(user)
        latencies.append(1000 * (time.perf_counter() - started))
    return {
        "url": client.url,
        "model": answer["model"],
        "user": user,
        "policy": answer["policy"],
        "items": len(answer["items"]),
        "median_ms": round(statistics.median(latencies), 2),
        "slowest_ms": round(max(latencies), 2),
        "predictions": times,
    }


def golden_user(archive: Path) -> tuple[str, str]:
    """Read the first user of an archive's golden requests, and the short digest of its bundle.

    Raises
    ------
    ArtifactError
        The file is not an archive of ``ncf export``.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            user, digest = archives.golden_user(file), archives.bundle_digest(file)
            _require_sound(file)
    except FileNotFoundError as error:
        raise ArtifactError(
            "no such archive", where=archive, remedy="'ncf export' writes it"
        ) from error
    except (OSError, ValueError, LookupError, TypeError, zipfile.BadZipFile) as error:
        raise ArtifactError(
            f"not an archive of this toolkit ({error})", where=archive, remedy="export it again"
        ) from error
    return user, digest[:_DIGEST_SHOWN]


def _require_sound(file: zipfile.ZipFile) -> None:
    """Refuse a damaged archive: TorchServe would start without the model, and hardly say so."""
    if damaged := file.testzip():
        raise zipfile.BadZipFile(f"{damaged} is damaged")


def _list_in(answer: requests.Response, url: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = answer.json()
        if isinstance(found["items"], list) and found["policy"] and found["model"]:
            return found
    except (ValueError, LookupError, TypeError):
        pass
    raise CapabilityError("the answer is not a list", where=url, remedy="see `name`")
