"""Go through the keys of a version in Redis or Valkey, and turn its errors into one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import redis

from batch.push.keyvalue_scripts import EACH
from ncf.errors import StorageError, UnreachableError

AT_ONCE = 1000
"""Keys in one command: a server of one thread answers others in between."""


class Keys:
    """The keys that begin with a prefix, some at a time.

    Parameters
    ----------
    client : redis.Redis
        Connected.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client

    def count(self, prefix: str) -> int:
        """Count them; a scan may give a key twice while the server moves its table."""
        found: set[int] = set()
        for keys in self._each(prefix):
            found.update(map(hash, keys))
        return len(found)

    def remove(self, prefix: str) -> None:
        """Remove them, while the server goes on."""
        self._apply(prefix, "UNLINK")

    def expire(self, prefix: str, seconds: int) -> None:
        """Let them expire."""
        self._apply(prefix, "EXPIRE", seconds)

    def persist(self, prefix: str) -> None:
        """Let them stay."""
        self._apply(prefix, "PERSIST")

    def _apply(self, prefix: str, command: str, *arguments: int) -> None:
        """Apply a command to each on the server: to send a million keys takes a minute."""
        cursor = "0"
        while True:
            found = self._client.eval(
                EACH, 0, cursor, _pattern(prefix), AT_ONCE, command, *arguments
            )
            cursor = str(found)
            if cursor == "0":
                return

    def _each(self, prefix: str) -> Iterator[list[str]]:
        found = iter(self._client.scan_iter(match=_pattern(prefix), count=AT_ONCE))
        while keys := list(islice(found, AT_ONCE)):
            yield [str(key) for key in keys]


def _pattern(prefix: str) -> str:
    return "".join(f"\\{c}" if c in "*?[]\\^" else c for c in prefix) + "*"


@contextmanager
def one_line(where: str) -> Iterator[None]:
    """Turn errors of redis-py.

    Raises
    ------
    StorageError
        It refuses.
    UnreachableError
        It does not answer, or has no memory left.
    """
    try:
        yield
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
        raise StorageError(
            f"refuses ({error})",
            where=where,
            remedy="check user and password (`password_file`, or NCF_PUSH_PASSWORD)",
        ) from error
    except redis.RedisError as error:
        full = isinstance(error, redis.exceptions.OutOfMemoryError)
        remedy = "free memory there" if full else "check the address"
        raise UnreachableError(
            f"{'is full' if full else 'does not answer'} ({error})",
            where=where,
            remedy=f"{remedy}; readers see the old lists; run the same command again",
        ) from error
