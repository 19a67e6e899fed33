"""Turn what PostgreSQL says into one line, with the exit code that tells whether to try again."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from ncf.errors import LockedError, StorageError, UnreachableError

_REFUSED = ("28", "3D", "42501")  # no such role or wrong password, no such database, no privilege
_AGAIN = "readers see the old lists; run the same command again"


@contextmanager
def one_line(where: str) -> Iterator[None]:
    """Turn errors of psycopg.

    Raises
    ------
    StorageError
        It refuses, or has no space left.
    LockedError
        Somebody else holds the table for too long.
    UnreachableError
        It does not answer, or was stopped.
    """
    try:
        yield
    except errors.LockNotAvailable as error:
        raise LockedError(
            "a reader or writer holds the table for longer than 10 s",
            where=where,
            remedy=_AGAIN,
        ) from error
    except (errors.DiskFull, errors.OutOfMemory) as error:
        raise UnreachableError(
            f"is full ({_said(error)})", where=where, remedy=f"free some space there; {_AGAIN}"
        ) from error
    except psycopg.Error as error:
        state = error.sqlstate or ""
        said = _said(error)
        if state.startswith(_REFUSED) or "authentication failed" in said or "no password" in said:
            raise StorageError(
                f"refuses ({said})",
                where=where,
                remedy="check user, rights and password (PGPASSWORD, ~/.pgpass, `password_file`)",
            ) from error
        if isinstance(error, psycopg.OperationalError) or not state:
            raise UnreachableError(
                f"does not answer ({said})", where=where, remedy=f"check the address; {_AGAIN}"
            ) from error
        raise StorageError(
            f"refuses ({said})", where=where, remedy="look at the table and its triggers"
        ) from error


def _said(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
