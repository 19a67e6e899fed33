"""Check a server with real predictions: whether it answers, how fast, and with which model."""

import json
import statistics
import time
import zipfile
from pathlib import Path
from typing import Any

import requests

from ncf import archives
from ncf.errors import ArtifactError, CapabilityError, UsageError
from ncf.serving.settings import TOKEN_FILE, Settings

_TIMEOUT = 10.0  # seconds
_DIGEST_SHOWN = 12


class Client:
    """Asks one model of a server for lists, over one connection.

    Parameters
    ----------
    url : str
        Address, such as ``http://127.0.0.1:8080``.
    name : str
        Name of the model.
    token_file : Path or None
        TorchServe's ``key_file.json``; None if the server asks for no token.

    Raises
    ------
    UsageError
        The token file is missing or is not TorchServe's, or the URL is malformed.
    """

    def __init__(self, url: str, name: str, token_file: Path | None) -> None:
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"{url!r} is not a URL", remedy="begin it with http://")
        self.url = url.rstrip("/")
        self._name = name
        self._session = requests.Session()
        if token_file is not None:
            token = read_token(token_file, "inference")
            self._session.headers["Authorization"] = f"Bearer {token}"

    def predict(self, user: str, k: int = 10) -> dict[str, Any]:
        """Ask for one list.

        Raises
        ------
        CapabilityError
            The server does not answer, or the answer is not a list.
        """
        url = f"{self.url}/predictions/{self._name}"
        try:
            answer = self._session.post(url, json={"user": user, "k": k}, timeout=_TIMEOUT)
        except requests.RequestException as error:
            raise CapabilityError(
                f"no answer ({type(error).__name__})",
                where=self.url,
                remedy="see that the server runs and the address is right",
            ) from error
        if answer.status_code != 200:
            raise CapabilityError(
                f"status {answer.status_code}: {answer.text[:200]}",
                where=self.url,
                remedy="see `token_file` (the server's key_file.json), `name` and `user`",
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
        TorchServe's ``key_file.json``.
    user : str, optional
        Raw id of the user to ask for.
    times : int
        Number of predictions timed.

    Raises
    ------
    UsageError
        No user is given, and there is no archive to name one.
    CapabilityError
        The server does not answer, or the answer is not a list.
    """
    own = settings.state / TOKEN_FILE
    tokens = token_file or (own if own.exists() else None)
    if user is None:
        if not settings.archive.is_file():
            raise UsageError("give `user`, or `model_store` and `name` of the archive")
        user, _ = golden_user(settings.archive)
    return measure(Client(url, settings.name, tokens), user, times)


def measure(client: Client, user: str, times: int) -> dict[str, Any]:
    """Time a number of predictions: figures of latency in milliseconds, and the model's digest.

    Raises
    ------
    CapabilityError
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
