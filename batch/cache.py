"""Find the folder of this machine's lock for an object store."""

import os
import stat
import tempfile
from pathlib import Path

from ncf.errors import StorageError
from ncf.files import sha256_bytes, storage_errors


def cache_of(place: str) -> Path:
    """Name the folder for a place: in ``$XDG_CACHE_HOME``, or among the temporary files."""
    given = os.environ.get("XDG_CACHE_HOME")
    base = Path(given) / "ncf" if given else _own_temporary()
    return base / "batch" / sha256_bytes(place.encode())[:12]


def _own_temporary() -> Path:
    """Folder of this user's among the temporary ones: others could put files of theirs there."""
    user = os.getuid() if hasattr(os, "getuid") else None  # Windows has such folders by user
    folder = Path(tempfile.gettempdir(), "ncf" if user is None else f"ncf-{user}")
    with storage_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or (user is not None and found.st_uid != user):
        raise StorageError("belongs to somebody else", where=folder, remedy="give `work`")
    return folder
