"""Go through the keys of a version in Redis or Valkey, and turn its errors into one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import redis

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
        for keys in self._each(prefix):
            self._client.unlink(*keys)

    def expire(self, prefix: str, seconds: int) -> None:
        """Let them expire."""
        for keys in self._each(prefix):
            pipeline = self._client.pipeline(transaction=False)
            for key in keys:
                pipeline.expire(key, seconds)
            pipeline.execute()

    def persist(self, prefix: str) -> None:
        """Let them stay."""
        for keys in self._each(prefix):
            pipeline = self._client.pipeline(transaction=False)
            for key in keys:
                pipeline.persist(key)
            pipeline.execute()

    def _each(self, prefix: str) -> Iterator[list[str]]:
        pattern = "".join(f"\\{c}" if c in "*?[]\\^" else c for c in prefix) + "*"
        found = iter(self._client.scan_iter(match=pattern, count=AT_ONCE))
        while keys := list(islice(found, AT_ONCE)):
            yield [str(key) for key in keys]


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
