"""Turn errors of delta-rs into one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from ncf.errors import LockedError, StorageError, UnreachableError


@contextmanager
def one_line(where: str) -> Iterator[None]:
    """Turn errors of delta-rs.

    Raises
    ------
    LockedError
        Another commit came first.
    StorageError
        The table or its store refuses.
    UnreachableError
        The store does not answer, or is full.
    """
    try:
        yield
    except CommitFailedError as error:
        raise LockedError(
            f"another commit came first ({said(error)})",
            where=where,
            remedy="run the same command again",
        ) from error
    except TableNotFoundError:
        raise
    except (DeltaError, OSError) as error:
        if isinstance(error, OSError) and not isinstance(error, PermissionError):
            raise UnreachableError(
                f"cannot be read or written ({said(error)})", where=where
            ) from error
        raise StorageError(
            f"refuses ({said(error)})", where=where, remedy="check the table and rights"
        ) from error


def said(error: Exception) -> str:
    """Give the first line of an error."""
    return str(error).strip().partition("\n")[0]
