"""Push lists to Redis or Valkey: a key a user under the prefix of a version, and one pointer.

``PREFIX:current`` holds the prefix of the version that readers shall use; ``PREFIX:RUN:USER`` is a
list as JSON. A push fills a new prefix, copying unchanged lists on the server, then moves the
pointer; the keys of the old version expire.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pyarrow as pa
import redis

from batch.push.keyvalue_keys import AT_ONCE, Keys, one_line
from batch.push.keyvalue_lock import Lock, locked_or_error
from batch.push.keyvalue_scripts import COPY, MOVE
from batch.push.literals import json_lists, read_lists
from batch.push.targets import Chunk, Held, Push, Version
from ncf.columns import Columns
from ncf.errors import ArtifactError, without_credentials

KEPT_SECONDS = 86_400
"""How long the version before is kept, unless ``?keep=SECONDS`` says otherwise."""
_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}


class KeyValue:
    """Keys of a Redis or Valkey server; a cluster is not served.

    Parameters
    ----------
    client : redis.Redis
        Connected.
    prefix : str
        What all keys begin with.
    where : str
        URI without credentials.
    kept : int
        Seconds until the lists of an old version expire.
    """

    def __init__(self, client: "redis.Redis", prefix: str, where: str, kept: int) -> None:
        self.where = where
        self._client, self._prefix, self._kept = client, prefix, kept
        self._versions, self._current = f"{prefix}:versions", f"{prefix}:current"
        self._lock = Lock(client, f"{prefix}:lock")
        self._keys = Keys(client)
        self._push: Push | None = None

    @classmethod
    def open(cls, uri: str, password: str | None = None) -> "KeyValue":
        """Connect; ``?prefix=topk`` and ``?keep=SECONDS`` are ours, the rest is redis-py's."""
        parts = urlsplit(uri)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        prefix, kept = options.pop("prefix", "topk"), int(options.pop("keep", KEPT_SECONDS))
        scheme = _SCHEMES.get(parts.scheme, parts.scheme)
        address = urlunsplit(parts._replace(scheme=scheme, query=urlencode(options)))
        where = without_credentials(uri)
        given: dict[str, Any] = {} if password is None else {"password": password}
        with one_line(where):
            client = redis.Redis.from_url(address, decode_responses=True, **given)
            client.ping()
        return cls(client, prefix, where, kept)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock, which ends by itself half a minute after its holder has died."""
        with one_line(self.where), locked_or_error(self._lock, self.where):
            self._expire_old()
            yield

    def held(self) -> Held:
        """Read what the last move of the pointer has written."""
        with one_line(self.where):
            facts = self._facts()
        return Held(_version(facts.get("now")), _version(facts.get("before")))

    def begin(self, push: Push) -> int:
        """Remove what other pushes have left, or go on with this one."""
        self._push = push
        with one_line(self.where):
            facts = self._facts()
            stage = json.loads(facts.get("stage", "null"))
            if stage is not None and stage["id"] == push.id:
                return int(stage["chunks"])
            versions = (_version(facts.get(name)) for name in ("now", "before"))
            if stage is not None and stage["run"] not in [each.run for each in versions if each]:
                self._keys.remove(self._of(stage["run"]))
            self._client.hset(
                self._versions,
                "stage",
                json.dumps({"id": push.id, "run": push.version.run, "chunks": 0}),
            )
            return 0

    def add(self, chunk: Chunk) -> None:
        """Set changed lists under the new prefix, and copy the others."""
        push = self._open
        new, old = self._of(push.version.run), self._of(push.base.run) if push.base else ""
        users, lists = chunk.changed[Columns.USER_ID].to_pylist(), json_lists(chunk.changed)
        same = chunk.same.to_pylist()
        with one_line(self.where):
            self._lock.require()
            pipeline = self._client.pipeline(transaction=False)
            for start in range(0, len(users), AT_ONCE):
                some = slice(start, start + AT_ONCE)
                keys = (new + user for user in users[some])
                pipeline.mset(dict(zip(keys, lists[some], strict=True)))
            sets = len(pipeline)
            for start in range(0, len(same), AT_ONCE):
                pipeline.eval(COPY, 0, old, new, *same[start : start + AT_ONCE])
            missing = sum(map(int, pipeline.execute()[sets:]))
            if missing:
                raise ArtifactError(
                    f"{missing:,} lists of run {push.base.run if push.base else ''} are gone",
                    where=self.where,
                    remedy="push with `all`; does the server evict keys?",
                )
            self._written(push, chunk.number + 1)

    def finish(self, version: Version) -> None:
        """Move the pointer, then let the old version expire."""
        push = self._open
        with one_line(self.where):
            facts = self._facts()
            now = _version(facts.get("now"))
            if push.base is not None and (now is None or now.digest != push.base.digest):
                raise self._moved()
            kept = {"now": _text(version)}
            if now is not None and now.run != version.run:
                kept["before"] = facts["now"]
                kept["old"] = json.dumps([now.run])
            elif "before" in facts:
                kept["before"] = facts["before"]
            self._move(facts.get("now", ""), version.run, kept)
            self._expire_old()

    def roll_back(self) -> Version:
        """Move the pointer back, if the lists of the version before have not expired yet."""
        with one_line(self.where):
            facts = self._facts()
            now, before = _version(facts.get("now")), _version(facts.get("before"))
            if now is None or before is None:
                raise ArtifactError(
                    "holds no version to go back to", where=self.where, remedy="push a run"
                )
            self._keys.persist(self._of(before.run))
            kept = self._keys.count(self._of(before.run))
            if kept < before.users:
                self._keys.expire(self._of(before.run), self._kept)
                raise ArtifactError(
                    f"lists of run {before.run} have expired ({kept:,} of {before.users:,} left)",
                    where=self.where,
                    remedy="push that run again",
                )
            self._move(
                facts["now"], before.run, {"now": facts["before"], "old": json.dumps([now.run])}
            )
            self._expire_old()
        return before

    def read(self, users: Sequence[str]) -> pa.Table:
        """Read some lists as readers do."""
        with one_line(self.where):
            prefix = str(self._client.get(self._current))
            found = self._client.mget([f"{prefix}{user}" for user in users]) if users else []
        return read_lists(users, found)

    def count(self) -> int:
        """Count the keys under the prefix that readers use."""
        with one_line(self.where):
            now = self.held().now
            return self._keys.count(self._of(now.run)) if now else 0

    def forget(self, user: str) -> bool:
        """Delete a user's lists of all versions."""
        with one_line(self.where):
            facts = self._facts()
            now, before = _version(facts.get("now")), _version(facts.get("before"))
            runs = {version.run for version in (now, before) if version}
            runs |= {*json.loads(facts.get("old", "[]"))}
            if "stage" in facts:
                runs.add(json.loads(facts["stage"])["run"])
            gone = {run: self._client.delete(self._of(run) + user) for run in runs}
            for name, version in (("now", now), ("before", before)):
                if version is not None and gone[version.run]:
                    fewer = {**asdict(version), "users": version.users - 1}
                    self._client.hset(self._versions, name, json.dumps(fewer))
        return any(gone.values())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def _open(self) -> Push:
        if self._push is None:
            raise ValueError("no push has begun")
        return self._push

    def _of(self, run: str) -> str:
        return f"{self._prefix}:{run}:"

    def _facts(self) -> dict[str, str]:
        found = self._client.hgetall(self._versions)
        return {str(name): str(value) for name, value in found.items()}

    def _written(self, push: Push, chunks: int) -> None:
        stage = {"id": push.id, "run": push.version.run, "chunks": chunks}
        self._client.hset(self._versions, "stage", json.dumps(stage))

    def _move(self, now: str, run: str, facts: Mapping[str, str]) -> None:
        keys = (self._lock.key, self._versions, self._current)
        fields = [text for pair in facts.items() for text in pair]
        said = self._client.eval(MOVE, 3, *keys, self._lock.token, now, self._of(run), *fields)
        if said != "ok":
            raise self._moved()

    def _moved(self) -> ArtifactError:
        return ArtifactError(
            "was changed by somebody else during the push",
            where=self.where,
            remedy="run the same command again",
        )

    def _expire_old(self) -> None:
        """Let the lists of versions that the pointer has left expire; a dead push may have not."""
        for run in json.loads(self._facts().get("old", "[]")):
            self._keys.expire(self._of(run), self._kept)
            self._client.hdel(self._versions, "old")


def _text(version: Version) -> str:
    return json.dumps(asdict(version))


def _version(text: str | None) -> Version | None:
    return None if text is None else Version(**json.loads(text))
