"""Object stores: their kinds, and what they answer when they refuse or cannot be reached."""

from collections.abc import Iterator
from contextlib import contextmanager

import fsspec
import pyarrow as pa
from pyarrow import fs

from ncf.errors import (
    NcfError,
    StorageError,
    UnreachableError,
    UsageError,
    without_credentials,
)

OBJECT_STORES = frozenset({"s3", "gcs", "abfs"})
"""Kinds of file systems where a write appears whole and folders are only prefixes."""
# What stores say of names and credentials; of these trying again changes nothing.
_REFUSALS = (
    "access_denied",
    "access denied",
    "accessdenied",
    "no_such_bucket",
    "nosuchbucket",
    "forbidden",
    "invalid_access_key",
    "invalidaccesskey",
    "signature_does_not_match",
    "signaturedoesnotmatch",
    "invalid_client_token",
    "unrecognized_client",
    "permission denied",
    "unauthorized",
)

_ABSENT = (404, 410)  # answers of HTTP

_ASKED = "When resolving region for bucket"  # Arrow asks S3, unless the URI names the region


def open_store(uri: str) -> tuple[fs.FileSystem, str]:
    """Find the file system of a URI, and the path in it.

    Raises
    ------
    UsageError
        The URI is of no known kind.
    UnreachableError
        Its store did not say where the bucket is.
    """
    try:
        system, root = fs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        return _through_fsspec(uri, error)
    return system, root


@contextmanager
def storage_access(place: str) -> Iterator[None]:
    """Turn what an object store answers into one line.

    Raises
    ------
    StorageError
        It refuses.
    UnreachableError
        It cannot be reached, or fails: trying again may help.
    """
    try:
        yield
    except (FileNotFoundError, NcfError):
        raise
    except (OSError, pa.ArrowException) as error:
        problem = f"cannot be read or written ({error})"
        if _is_refusal(error):
            remedy = "check the name, the credentials and the permissions"
            raise StorageError(problem, where=place, remedy=remedy) from error
        raise UnreachableError(
            problem,
            where=place,
            remedy="check the network and the credentials, and run the same command again",
        ) from error


def require_answer(system: fs.FileSystem, path: str, place: str) -> None:
    """Tell a file that is not there from a server that does not answer.

    Over HTTP fsspec says of both that there is no such file, and Arrow loses the cause.

    Raises
    ------
    StorageError
        The server refuses.
    UnreachableError
        It does not answer, or fails: trying again may help.
    """
    if not isinstance(system, fs.PyFileSystem) or "http" not in system.handler.fs.protocol:
        return  # other stores tell the two apart
    try:
        system.handler.fs.info(path)
    except FileNotFoundError as error:
        cause = error.__cause__
        if isinstance(cause, Exception) and getattr(cause, "status", None) not in _ABSENT:
            with storage_access(place):
                raise OSError(str(cause) or type(cause).__name__) from cause


def _is_refusal(error: Exception) -> bool:
    """Tell whether a store or a disk refused; most such errors have no class of their own."""
    kinds = (PermissionError, NotADirectoryError, IsADirectoryError)
    text = str(error).lower()
    return isinstance(error, kinds) or any(sign in text for sign in _REFUSALS)


def _through_fsspec(place: str, cause: Exception) -> tuple[fs.FileSystem, str]:
    """Take what fsspec knows and Arrow does not, such as ``az://``."""
    try:
        system, root = fsspec.core.url_to_fs(place)
    except (ValueError, ImportError, OSError) as error:
        if _ASKED in str(cause):
            with storage_access(without_credentials(place)):
                raise cause from None
        raise UsageError(
            f"cannot be opened ({cause}; {error})",
            where=place,
            remedy="give a folder, s3://, gs://, or what an installed fsspec package knows",
        ) from error
    return fs.PyFileSystem(fs.FSSpecHandler(system)), root
