"""Push lists to a table of PostgreSQL: a row a user, merged or swapped by one transaction.

Chunks go to a staging table by ``COPY``, each in a transaction with its number, so that a push goes
on where one died. The last transaction changes the table. What it replaces is kept in another
table: the rows of changed users, or the whole table, so that one step goes back.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.conninfo import make_conninfo

from batch.push.literals import copy_rows, copy_users
from batch.push.postgres_catalogue import require_no_view, require_shape
from batch.push.postgres_errors import one_line
from batch.push.postgres_state import State, table_name
from batch.push.targets import LISTS, Chunk, Held, Push, Version
from ncf.errors import ArtifactError, LockedError, without_credentials

_LISTS = "user_id text, item_ids text[], scores real[], policy text"
_COLUMNS = sql.SQL("user_id, item_ids, scores, policy")
_TRIES, _PAUSE = 20, 0.1  # the server notices the end of a killed client a moment later


class Postgres:
    """A table of PostgreSQL: ``user_id`` (primary key), ``item_ids``, ``scores``, ``policy``.

    Parameters
    ----------
    connection : psycopg.Connection
        Open, in autocommit mode.
    table : str
        Name of the table, with a schema or without.
    where : str
        URI without credentials.
    """

    def __init__(
        self, connection: "psycopg.Connection[tuple[object, ...]]", table: str, where: str
    ) -> None:
        self.where = where
        self._db = connection
        self._state = State(connection, *table_name(table, where))
        self._push: Push | None = None

    @classmethod
    def open(cls, uri: str, password: str | None = None) -> "Postgres":
        """Connect; ``?table=NAME`` (``topk`` if not given) is ours, the rest is libpq's."""
        parts = urlsplit(uri)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        table = options.pop("table", "topk")
        address = urlunsplit(parts._replace(query=urlencode(options)))
        host = parts.netloc.rpartition("@")[2]
        where = without_credentials(f"{parts.scheme}://{host}{parts.path}?table={table}")
        with one_line(where):
            if password is not None:
                address = make_conninfo(address, password=password)
            connection = psycopg.connect(address, autocommit=True)
        return cls(connection, table, where)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold an advisory lock of the table, which ends with the connection."""
        with one_line(self.where):
            for _ in range(_TRIES):
                if self._state.try_lock():
                    break
                self._db.execute("SELECT pg_sleep(%s)", [_PAUSE])
            else:
                raise LockedError(
                    "another push writes here", where=self.where, remedy="wait until it has ended"
                )
            try:
                yield
            finally:
                if not self._db.broken and not self._db.closed:
                    self._state.unlock()

    def held(self) -> Held:
        """Read what the last transaction has written of it."""
        with one_line(self.where):
            return self._state.held()

    def begin(self, push: Push) -> int:
        """Make the staging table, or go on with it."""
        with one_line(self.where), self._db.transaction():
            require_shape(self._state.catalogue, self._state.name, self.where)
            if push.swap or not self._exists():
                require_no_view(self._state.catalogue, self._state.name, self.where)
            self._push = push
            self._state.prepare()
            done = self._state.begun(push.id)
            if done is None:
                self._state.drop_stages()
                self._run("CREATE TABLE {stage} (" + _LISTS + ")")
                self._state.progress(push.id, 0)
            return done or 0

    def add(self, chunk: Chunk) -> None:
        """Copy a chunk to the staging table."""
        if not chunk.changed.num_rows and not len(chunk.gone):
            return
        with one_line(self.where), self._db.transaction(), self._db.cursor() as cursor:
            with cursor.copy(self._sql("COPY {stage} ({columns}) FROM STDIN")) as copy:
                copy.write(copy_rows(chunk.changed))
                if len(chunk.gone):
                    copy.write(copy_users(chunk.gone))
            self._state.progress(self._open.id, chunk.number + 1)

    def finish(self, version: Version) -> None:
        """Merge the staging table, or put it in the place of the table."""
        push = self._open
        with one_line(self.where):
            swap = push.swap or not self._exists()
            if swap:
                with self._db.transaction():
                    stage = self._state.stage(push.id)
                    if not self._state.catalogue.has_key(stage):
                        self._run("ALTER TABLE {stage} ADD PRIMARY KEY (user_id)")
                        for name in ("item_ids", "policy"):
                            self._run(f"ALTER TABLE {{stage}} ALTER {name} SET NOT NULL")
                        self._state.catalogue.copy_grants(self._state.name, stage)
                self._run("ANALYZE {stage}")
            with self._db.transaction():
                self._state.require(push.base)
                self._run("SET LOCAL lock_timeout = '10s'")
                self._run("DROP TABLE IF EXISTS {before}")
                if swap:
                    self._swap()
                else:
                    self._merge(whole=push.base is None)
                self._state.become(version, "table" if swap else "rows")

    def roll_back(self) -> Version:
        """Put back the table before, or the rows of the users whom the last push changed."""
        with one_line(self.where), self._db.transaction():
            before, kind = self._state.before()
            if before is None:
                raise ArtifactError(
                    "holds no version to go back to", where=self.where, remedy="push a run"
                )
            self._run("SET LOCAL lock_timeout = '10s'")
            if kind == "table":
                self._run("DROP TABLE {table}")
                self._run("ALTER TABLE {before} RENAME TO {name}")
            else:
                self._apply("before")
                self._run("DROP TABLE {before}")
            self._state.rolled_back()
        return before

    def read(self, users: Sequence[str]) -> pa.Table:
        """Read some rows."""
        with one_line(self.where):
            query = self._sql("SELECT {columns} FROM {table} WHERE user_id = ANY(%s)")
            rows = self._db.execute(query, [list(users)]).fetchall()
        columns = list(zip(*rows, strict=True)) or [()] * 4
        return pa.table(
            [pa.array(each, field.type) for each, field in zip(columns, LISTS, strict=True)],
            schema=LISTS,
        )

    def count(self) -> int:
        """Count the rows."""
        with one_line(self.where):
            row = self._db.execute(self._sql("SELECT count(*) FROM {table}")).fetchone()
        return int(str(row[0])) if row else 0

    def forget(self, user: str) -> bool:
        """Delete a user from the table, from the version before, and from an unfinished push."""
        found = False
        with one_line(self.where), self._db.transaction():
            for table in self._state.tables():
                query = sql.SQL("DELETE FROM {} WHERE user_id = %s").format(table)
                rows = self._db.execute(query, [user]).rowcount
                found = found or rows > 0
            if found:
                self._state.recount()
        return found

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @property
    def _open(self) -> Push:
        if self._push is None:
            raise ValueError("no push has begun")
        return self._push

    def _merge(self, *, whole: bool) -> None:
        if whole:  # what is not in the run leaves, and what is the same stays
            self._run(
                "INSERT INTO {stage} (user_id) SELECT user_id FROM {table} t WHERE NOT EXISTS"
                " (SELECT FROM {stage} s WHERE s.user_id = t.user_id)"
            )
            self._run(
                "DELETE FROM {stage} s USING {table} t WHERE s.user_id = t.user_id"
                " AND (s.item_ids, s.policy) = (t.item_ids, t.policy)"
                " AND s.scores IS NOT DISTINCT FROM t.scores"
            )
        self._run(
            "CREATE TABLE {before} AS SELECT s.user_id, t.item_ids, t.scores, t.policy"
            " FROM {stage} s LEFT JOIN {table} t USING (user_id)"
        )
        self._apply("stage")
        self._run("DROP TABLE {stage}")

    def _apply(self, name: str) -> None:
        """Let the table have the rows of another, of which those without items are to go."""
        other = "{" + name + "}"
        self._run(
            f"DELETE FROM {{table}} t USING {other} s"  # noqa: S608 - names are quoted later
            " WHERE s.user_id = t.user_id AND s.item_ids IS NULL"
        )
        self._run(
            f"INSERT INTO {{table}} ({{columns}}) SELECT {{columns}} FROM {other}"  # noqa: S608
            " WHERE item_ids IS NOT NULL ON CONFLICT (user_id) DO UPDATE SET"
            " (item_ids, scores, policy) = (excluded.item_ids, excluded.scores, excluded.policy)"
        )

    def _swap(self) -> None:
        if self._exists():
            self._run("ALTER TABLE {table} RENAME TO {before_name}")
        self._run("ALTER TABLE {stage} RENAME TO {name}")

    def _exists(self) -> bool:
        return bool(self._state.catalogue.columns(self._state.name))

    def _run(self, text: str) -> None:
        self._db.execute(self._sql(text))

    def _sql(self, text: str) -> sql.Composed:
        names = self._state.identifiers(self._push.id if self._push else "")
        return sql.SQL(text).format(columns=_COLUMNS, **names)
