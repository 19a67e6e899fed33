"""Where ratings come from: a file, a folder of parts, a pipe; what stands for them in a record."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ncf.data.kinds import is_stream
from ncf.data.options import Format
from ncf.data.parquet_files import part_files
from ncf.data.triple import triple_paths
from ncf.errors import StorageError
from ncf.files import is_full, sha256, sha256_bytes


@contextmanager
def at_rest(path: Path) -> Iterator[Path]:
    """Give the path of a file that can be read more than once: a pipe is copied to one aside.

    Raises
    ------
    StorageError
        The folder for temporary files (``TMPDIR``) is full.
    """
    if not is_stream(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="ncf-") as folder:
        yield copy_stream(path, Path(folder, "ratings"))


def copy_stream(path: Path, target: Path) -> Path:
    """Copy what comes out of a pipe.

    Raises
    ------
    StorageError
        There is no room for it.
    """
    try:
        with path.open("rb") as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    except OSError as error:
        if not is_full(error):
            raise
        raise StorageError(
            f"no space left on the disk, for what comes out of {os.fspath(path)}",
            where=target.parent,
            remedy="free some space, set TMPDIR to another folder, or give a file",
        ) from error
    return target


def digest_of(path: Path) -> str:
    """SHA-256 of a file; of a folder of parts, one over the names and digests of its parts."""
    if not path.is_dir():
        return sha256(path)
    listed = [f"{name} {digest}\n" for name, digest in digests_of(path, path).items()]
    return sha256_bytes("".join(listed).encode())


def digests_of(path: Path, at: Path) -> dict[str, str]:
    """SHA-256 by name of a file, or of each part of a folder."""
    if not at.is_dir():
        return {path.name: sha256(at)}
    return {part.relative_to(at).as_posix(): sha256(part) for part in part_files(at)}


def format_of(path: Path, file_format: Format) -> Format:
    """Tell the prefix of an NCF triple from a file, where the format is to be found out."""
    if file_format is not Format.AUTO or path.exists() or not path.name:
        return file_format
    return Format.NCF if any(each.exists() for each in triple_paths(path)) else file_format
