"""Find the tokens of our server: from a file, the environment, or made for this start."""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from ncf.errors import UsageError
from ncf.files import storage_errors

TOKEN_FILE, ADMIN_FILE = "token", "admin-token"
TOKEN, ADMIN = "NCF_TOKEN", "NCF_ADMIN_TOKEN"
_SHORTEST = 8  # characters
_BYTES = 24


@dataclass(frozen=True)
class Tokens:
    """Tokens of a server, and where the reader finds them.

    Parameters
    ----------
    token, admin : str or None
        Bearer tokens of predictions and of ``POST /reload``.
    place : str
        A file, or the name of a variable, that holds the first; empty where there is none.
    """

    token: str | None = field(default=None, repr=False)
    admin: str | None = field(default=None, repr=False)
    place: str = ""


@dataclass(frozen=True)
class TokenSources:
    """Where a server takes its tokens from.

    Parameters
    ----------
    state : Path
        Folder of tokens that are made.
    file, admin_file : Path or None
        Files that hold a token; without one, ``NCF_TOKEN`` and ``NCF_ADMIN_TOKEN`` do.
    needed : bool
        Whether predictions need a token.
    """

    state: Path
    file: Path | None = None
    admin_file: Path | None = None
    needed: bool = True

    @property
    def makes(self) -> bool:
        """Whether tokens are made and written, as none is given."""
        return self.needed and self.file is None and not os.environ.get(TOKEN)

    def find(self) -> Tokens:
        """Take the tokens, and make what is missing; nothing is written if one is given.

        Raises
        ------
        UsageError
            A file holds no token, or a token is too short or not ASCII.
        StorageError
            The state folder cannot be written.
        """
        admin = _given(self.admin_file, ADMIN)
        if not self.makes:
            place = TOKEN if self.file is None else str(self.file)
            token = _given(self.file, TOKEN) if self.needed else None
            return Tokens(token, admin, place if token else "")
        made = _make(self.state / TOKEN_FILE)
        return Tokens(made, admin or _make(self.state / ADMIN_FILE), str(self.state / TOKEN_FILE))


def read_token(path: Path) -> str:
    """Read a token from a file that holds nothing else.

    Raises
    ------
    UsageError
        The file is missing, or holds no token.
    """
    try:
        content = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise UsageError("not a file of a token", where=path, remedy="give `token_file`") from error
    return _checked(content, path)


def _given(file: Path | None, variable: str) -> str | None:
    if file is not None:
        return read_token(file)
    given = os.environ.get(variable)
    return _checked(given.strip(), variable) if given else None


def _make(path: Path) -> str:
    token = secrets.token_urlsafe(_BYTES)
    with storage_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
    return token


def _checked(token: str, where: object) -> str:
    if len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            f"holds no token of {_SHORTEST} or more ASCII characters",
            where=where,
            remedy="write one, such as that of 'openssl rand -hex 24'",
        )
    return token
