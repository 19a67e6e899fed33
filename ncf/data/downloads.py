"""Download files: resume where a download stopped, and use a file only if its digest is right."""

import hashlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from ncf.errors import SourceError
from ncf.progress import report

_CHUNK_BYTES = 1 << 20
_TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds without a byte
_RETRY = Retry(total=3, connect=1, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504))


class Digest(Protocol):
    """A pinned digest of a file's bytes."""

    def matches(self, path: Path) -> bool:
        """Whether the file has this digest."""
        ...


@dataclass(frozen=True)
class Sha256:
    """SHA-256 of the bytes, 64 hex digits."""

    value: str

    def matches(self, path: Path) -> bool:
        """Whether the file has this digest."""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self.value


@dataclass(frozen=True)
class GitBlob:
    """Git's id of a file: SHA-1 of ``blob <size>``, a NUL and the bytes; 40 hex digits."""

    value: str

    def matches(self, path: Path) -> bool:
        """Whether the file has this digest."""
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest() == self.value


def download(url: str, target: Path, digest: Digest) -> None:
    """Fetch a file over HTTP; go on from ``target.part`` where an earlier try stopped.

    Raises
    ------
    SourceError
        The server cannot be reached, refuses, or sends other bytes than were pinned.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        _append_rest(url, part)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise SourceError(_reason(error), where=url) from error
    if not digest.matches(part):
        part.unlink()
        raise SourceError("the file differs from its pinned checksum", where=url)
    part.replace(target)


def download_wheel(requirement: str, sha256: str, folder: Path) -> Path:
    """Fetch a wheel with pip, from whatever index this machine's pip is set to.

    Parameters
    ----------
    requirement : str
        Pinned, such as ``"name==1.0"``.
    sha256 : str
        The wheel's SHA-256; pip checks it.
    folder : Path
        Receives the wheel.

    Raises
    ------
    SourceError
        pip is missing or fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        pinned = Path(scratch, "requirements.txt")
        pinned.write_text(f"{requirement} --hash=sha256:{sha256}\n")
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        command = [*pip, "--require-hashes", "--quiet", "-d", str(folder), "-r", str(pinned)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words and our own pins
    if ended.returncode:
        lines = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")]
        lines = lines or ended.stderr.splitlines() or ["pip failed"]
        raise SourceError(lines[-1], where=f"pip download {requirement}")
    return next(folder.glob("*.whl"))


def _append_rest(url: str, part: Path) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    with requests.Session() as session:
        session.mount("https://", HTTPAdapter(max_retries=_RETRY))
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                return  # the part is whole already; its digest decides
            answer.raise_for_status()
            resumed = answer.status_code == requests.codes.partial_content
            size = int(answer.headers.get("Content-Length", 0)) or None
            with part.open("ab" if resumed else "wb") as file, report(f"fetch {url}", size) as bar:
                # Not iter_content: when the connection breaks, that loses the unfinished chunk.
                while chunk := answer.raw.read1(_CHUNK_BYTES):
                    file.write(chunk)
                    bar.advance(len(chunk))


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "the connection broke; the part received is kept, and the next try continues it"
    return "the server cannot be reached"
