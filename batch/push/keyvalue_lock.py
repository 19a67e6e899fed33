"""Keep a second push out of a Redis or Valkey server."""

import json
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import redis

from ncf.errors import LockedError
from ncf.locks import this_host

_SECONDS, _RENEWED = 30, 10.0
# Sets a key again, or deletes it, if it still has the value that was seen.
_IF_SAME = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""


class Lock:
    """A key that its holder renews, with host and process; it ends by itself.

    Parameters
    ----------
    client : redis.Redis
        Connected.
    key : str
        The key.
    """

    def __init__(self, client: "redis.Redis", key: str) -> None:
        self._client, self.key = client, key
        facts = {"host": this_host(), "pid": os.getpid(), "token": uuid.uuid4().hex}
        self.token = json.dumps(facts)
        self._lost = threading.Event()

    def take(self) -> str:
        """Take the lock, also from a process of this machine that is dead; else name its holder."""
        if self._client.set(self.key, self.token, nx=True, ex=_SECONDS):
            return ""
        holder = self._client.get(self.key)
        if holder is None:
            return self.take()
        facts = json.loads(holder)
        dead = facts["host"] == this_host() and not psutil.pid_exists(facts["pid"])
        if dead and self._client.eval(_IF_SAME, 1, self.key, holder, self.token, _SECONDS):
            return ""
        return f"pid {facts['pid']} on {facts['host']}"

    def renew(self) -> None:
        """Hold it for half a minute more, or notice that it is lost."""
        if not self._client.eval(_IF_SAME, 1, self.key, self.token, self.token, _SECONDS):
            self._lost.set()

    def require(self) -> None:
        """Refuse to write after the lock was lost.

        Raises
        ------
        LockedError
            It was: this process was stopped for too long.
        """
        if self._lost.is_set():
            raise LockedError(
                "the lock was lost: this process stood still for half a minute",
                where=self.key,
                remedy="run the same command again",
            )

    def release(self) -> None:
        """Give it back."""
        self._client.eval(_IF_SAME, 1, self.key, self.token, "", _SECONDS)


@contextmanager
def locked_or_error(lock: Lock, where: str) -> Iterator[None]:
    """Hold a lock, renewed by a thread.

    Raises
    ------
    LockedError
        Another push holds it.
    """
    if holder := lock.take():
        raise LockedError(
            f"another push writes here ({holder})",
            where=where,
            remedy="wait until it has ended; if it is dead, for half a minute",
        )
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(_RENEWED):
            with suppress(redis.RedisError):
                lock.renew()

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with suppress(redis.RedisError):
            lock.release()
