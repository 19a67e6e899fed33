"""Push lists to a Delta Lake table: one commit a push, which names its run.

Chunks are put aside on this machine; ``finish`` merges them, or overwrites the table, in one
commit. It names the run and the push, so that one that died after its commit is not done twice.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from batch.push.delta_errors import one_line, said
from batch.push.targets import LISTS, Chunk, Held, Push, Version
from ncf.errors import ArtifactError, UsageError, without_credentials

_NOW, _BEFORE = "ncf.now", "ncf.before"
_SAME = "target.user_id = source.user_id"
_STAGED = pa.schema([*LISTS, pa.field("gone", pa.bool_())])


class Delta:
    """A Delta Lake table: ``user_id``, ``item_ids``, ``scores``, ``policy``.

    Parameters
    ----------
    address : str
        Its path or URI, without ``delta``.
    where : str
        URI without credentials.
    """

    def __init__(self, address: str, where: str) -> None:
        self.where, self._address = where, address
        self._push: Push | None = None
        self._aside: TemporaryDirectory[str] | None = None
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None

    @classmethod
    def open(cls, uri: str, password: str | None = None) -> "Delta":
        """Name a table; credentials of object stores come from their usual variables."""
        where = without_credentials(uri)
        if password is not None:
            raise UsageError(
                "a Delta Lake takes no password",
                where=where,
                remedy="set the variables of its store, such as AWS_ACCESS_KEY_ID",
            )
        scheme, _, path = uri.partition("://")
        store = scheme.removeprefix("delta").removeprefix("+")
        return cls(f"{store}://{path}" if store else path, where)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Yield: of two pushes at once, the store lets one commit, and the other is refused."""
        try:
            with one_line(self.where):
                yield
        finally:
            self._push_ended()

    def held(self) -> Held:
        """Read what the newest commit of ours says."""
        found = self._last()
        if found is None:
            return Held()
        before = found.get(_BEFORE)
        return Held(_version(found[_NOW]), _version(before) if before else None)

    def begin(self, push: Push) -> int:
        """Open a file aside; what a dead push had in its own is gone."""
        table = self._table()
        if table is not None and not _same_shape(table):
            raise UsageError(
                "is a table of another shape",
                where=self.where,
                remedy="name another, or remove it",
            )
        self._push, self._aside = push, TemporaryDirectory(prefix="ncf-push-")
        self._writer = pa.ipc.new_stream(str(self._path), _STAGED)
        return 0

    def add(self, chunk: Chunk) -> None:
        """Put a chunk aside."""
        rows = pa.repeat(pa.scalar(value=False), chunk.changed.num_rows)
        staged = pa.table([*chunk.changed.columns, rows], schema=_STAGED)
        if len(chunk.gone):
            count = len(chunk.gone)
            empty = pa.array([[]] * count, pa.list_(pa.string()))
            missing = pa.nulls(count, pa.list_(pa.float32()))
            texts = pa.repeat(pa.scalar(""), count)
            gone = [chunk.gone, empty, missing, texts, pa.repeat(pa.scalar(value=True), count)]
            staged = pa.concat_tables([staged, pa.table(gone, schema=_STAGED)])
        if self._writer is None:
            raise ValueError("no push has begun")
        self._writer.write_table(staged)

    def finish(self, version: Version) -> None:
        """Commit all chunks at once."""
        if self._push is None or self._writer is None:
            raise ValueError("no push has begun")
        self._writer.close()
        push, last = self._push, self._last()
        now = None if last is None else _version(last[_NOW])
        if push.base is not None and (now is None or now.digest != push.base.digest):
            raise ArtifactError(
                "holds another version than when the push began",
                where=self.where,
                remedy="run the same command again",
            )
        facts = {_NOW: _text(version), "ncf.push": push.id}
        if now is not None and now.digest != version.digest:
            facts[_BEFORE] = _text(now)
        elif last is not None and _BEFORE in last:
            facts[_BEFORE] = last[_BEFORE]
        commit = CommitProperties(custom_metadata=facts)
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_stream(file) as stream:
            if push.base is None:
                lists = (batch.select(LISTS.names) for batch in stream)
                reader = pa.RecordBatchReader.from_batches(LISTS, lists)
                write_deltalake(self._address, reader, mode="overwrite", commit_properties=commit)
                return
            values = {name: f"source.{name}" for name in LISTS.names}
            (
                self._required()
                .merge(stream, _SAME, "source", "target", commit_properties=commit)
                .when_matched_delete("source.gone")
                .when_matched_update(values, "not source.gone")
                .when_not_matched_insert(values, "not source.gone")
                .execute()
            )

    def roll_back(self) -> Version:
        """Restore the version of the table before, which makes a new commit."""
        last = self._last()
        before = None if last is None else last.get(_BEFORE)
        if before is None:
            raise ArtifactError(
                "holds no version to go back to", where=self.where, remedy="push a run"
            )
        table = self._required()
        found = [each for each in table.history() if each.get(_NOW) == before]
        if not found:
            raise ArtifactError(
                "the commit of the version before is gone",
                where=self.where,
                remedy="push that run again",
            )
        commit = CommitProperties(custom_metadata={_NOW: before})
        try:
            table.restore(found[0]["version"], commit_properties=commit)
        except DeltaError as error:
            raise ArtifactError(
                f"the version before cannot be restored ({said(error)})",
                where=self.where,
                remedy="push that run again",
            ) from error
        return _version(before)

    def read(self, users: Sequence[str]) -> pa.Table:
        """Read some rows."""
        with one_line(self.where):
            some = ", ".join(map(_quoted, users)) or "NULL"
            query = f"SELECT * FROM lists WHERE user_id IN ({some})"  # noqa: S608 - quoted
            return self._query(query).cast(LISTS)

    def count(self) -> int:
        """Count the rows."""
        with one_line(self.where):
            return int(self._query("SELECT count(*) AS n FROM lists")["n"][0].as_py())

    def forget(self, user: str) -> bool:
        """Delete a user's row; commits of before keep it until the table is vacuumed."""
        last = self._last()
        if last is None:
            return False
        now = _version(last[_NOW])
        with one_line(self.where):
            facts = {_NOW: _text(now), **({_BEFORE: last[_BEFORE]} if _BEFORE in last else {})}
            commit = CommitProperties(custom_metadata=facts)
            if not self.read([user]).num_rows:
                return False
            self._required().delete(f"user_id = {_quoted(user)}", commit_properties=commit)
        return True

    def close(self) -> None:
        """Remove what was put aside."""
        self._push_ended()

    @property
    def _path(self) -> Path:
        if self._aside is None:
            raise ValueError("no push has begun")
        return Path(self._aside.name, "lists.arrow")

    def _push_ended(self) -> None:
        if self._writer is not None:
            with suppress(pa.ArrowException, OSError):
                self._writer.close()
        if self._aside is not None:
            self._aside.cleanup()
        self._writer = self._aside = self._push = None

    def _table(self) -> DeltaTable | None:
        with one_line(self.where), suppress(TableNotFoundError):
            return DeltaTable(self._address)
        return None

    def _required(self) -> DeltaTable:
        table = self._table()
        if table is None:
            raise ArtifactError("is no table", where=self.where, remedy="push a run")
        return table

    def _query(self, text: str) -> pa.Table:
        found = QueryBuilder().register("lists", self._required()).execute(text)
        return pa.table(found.read_all())

    def _last(self) -> dict[str, Any] | None:
        """Find the newest commit of ours; those that compact the table are not."""
        table = self._table()
        commits = [] if table is None else table.history()
        return next((each for each in commits if _NOW in each), None)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _same_shape(table: DeltaTable) -> bool:
    return [str(field.name) for field in table.schema().fields] == [*LISTS.names]


def _text(version: Version) -> str:
    return json.dumps(asdict(version))


def _version(text: str) -> Version:
    return Version(**json.loads(text))
