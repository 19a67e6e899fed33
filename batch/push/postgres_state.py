"""What a push keeps in PostgreSQL beside the lists: versions, progress, and names of its tables."""

import re

import psycopg
from psycopg import sql

from batch.push.postgres_catalogue import Catalogue
from batch.push.targets import Held, Version
from ncf.errors import ArtifactError, UsageError

_NAME = re.compile(r"(?:([^.\x00]+)\.)?([^.\x00]+)")
_LONGEST = 63 - len("_ncf_stage_") - 12
_META = "ncf_push"


def table_name(given: str, where: str) -> tuple[str, str]:
    """Part ``SCHEMA.TABLE``; without a schema it is ``public``."""
    found = _NAME.fullmatch(given)
    if found is None or len(found[2].encode()) > _LONGEST:
        raise UsageError(
            f"{given[:80]!r} is no name of a table",
            where=where,
            remedy=f"give ?table=NAME or ?table=SCHEMA.NAME, of at most {_LONGEST} bytes",
        )
    return found[1] or "public", found[2]


class State:
    """Versions and progress, in the table ``ncf_push`` of the same schema.

    Parameters
    ----------
    connection : psycopg.Connection
        Open, in autocommit mode.
    schema, name : str
        The table with the lists.
    """

    def __init__(
        self, connection: "psycopg.Connection[tuple[object, ...]]", schema: str, name: str
    ) -> None:
        self._db = connection
        self._schema, self.name = schema, name
        self.catalogue = Catalogue(connection, schema)

    def stage(self, push: str) -> str:
        """Name the staging table of a push."""
        return f"{self.name}_ncf_stage_{push}"

    def identifiers(self, push: str) -> dict[str, sql.Identifier]:
        """Name all tables, for statements."""
        before = f"{self.name}_ncf_before"
        return {
            "table": sql.Identifier(self._schema, self.name),
            "stage": sql.Identifier(self._schema, self.stage(push)),
            "before": sql.Identifier(self._schema, before),
            "before_name": sql.Identifier(before),
            "name": sql.Identifier(self.name),
            "meta": sql.Identifier(self._schema, _META),
        }

    def try_lock(self) -> bool:
        """Take the lock, unless another session has it."""
        return bool(self._one("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", self._key))

    def unlock(self) -> None:
        """Give the lock back."""
        self._one("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", self._key)

    def prepare(self) -> None:
        """Make the table of versions."""
        self._run(
            "CREATE TABLE IF NOT EXISTS {meta} (target text, place text, run text, digest text,"
            " model text, users bigint, pushed text, kind text, PRIMARY KEY (target, place))"
        )

    def held(self) -> Held:
        """Read both versions."""
        return Held(self._version("now")[0], self._version("before")[0])

    def before(self) -> tuple[Version | None, str]:
        """Read the version before, and whether it is kept as a table or as rows."""
        return self._version("before")

    def require(self, base: Version | None) -> None:
        """Refuse to merge changes of another version than the one that is held now."""
        now = self._version("now")[0]
        if base is not None and (now is None or now.digest != base.digest):
            raise ArtifactError(
                "holds another version than when the push began",
                where=f"{self._schema}.{self.name}",
                remedy="run the same command again",
            )

    def become(self, version: Version, kind: str) -> None:
        """Make a version that of now; the one of now becomes the one before, kept as ``kind``."""
        self._run(
            "DELETE FROM {meta} WHERE target = %s AND place IN ('before', 'stage')", self.name
        )
        self._run(
            "UPDATE {meta} SET place = 'before', kind = %s WHERE target = %s AND place = 'now'",
            kind,
            self.name,
        )
        self._run(
            "INSERT INTO {meta} (target, place, run, digest, model, users, pushed)"
            " VALUES (%s, 'now', %s, %s, %s, %s, %s)",
            self.name,
            *(version.run, version.digest, version.model, version.users, version.pushed),
        )

    def rolled_back(self) -> None:
        """Make the version before that of now."""
        self._run("DELETE FROM {meta} WHERE target = %s AND place IN ('now', 'stage')", self.name)
        self._run(
            "UPDATE {meta} SET place = 'now' WHERE target = %s AND place = 'before'", self.name
        )

    def begun(self, push: str) -> int | None:
        """Count the chunks that an unfinished push has written; None if there is no such push."""
        row = self._row(
            "SELECT users FROM {meta} WHERE target = %s AND place = 'stage' AND run = %s",
            self.name,
            push,
        )
        there = self.catalogue.columns(self.stage(push))
        return int(str(row[0])) if row and there else None

    def progress(self, push: str, chunks: int) -> None:
        """Write down how many chunks are written."""
        self._run(
            "INSERT INTO {meta} (target, place, run, users) VALUES (%s, 'stage', %s, %s)"
            " ON CONFLICT (target, place) DO UPDATE"
            " SET (run, users) = (excluded.run, excluded.users)",
            self.name,
            push,
            chunks,
        )

    def drop_stages(self) -> None:
        """Drop what pushes have left that nobody will go on with."""
        self._run("DELETE FROM {meta} WHERE target = %s AND place = 'stage'", self.name)
        for stage in self._stages():
            self._db.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(self._schema, stage)))

    def tables(self) -> list[sql.Identifier]:
        """Name all tables that hold lists."""
        names = [self.name, f"{self.name}_ncf_before", *self._stages()]
        return [
            sql.Identifier(self._schema, name) for name in names if self.catalogue.columns(name)
        ]

    def recount(self) -> None:
        """Count the users anew, after one was removed."""
        if self._version("now")[0] is not None:
            self._run(
                "UPDATE {meta} SET users = (SELECT count(*) FROM {table})"
                " WHERE target = %s AND place = 'now'",
                self.name,
            )

    @property
    def _key(self) -> str:
        return f"ncf:{self._schema}.{self.name}"

    def _stages(self) -> list[str]:
        rows = self._db.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s AND starts_with(tablename, %s)",
            [self._schema, self.stage("")],
        ).fetchall()
        return [str(name) for (name,) in rows]

    def _version(self, place: str) -> tuple[Version | None, str]:
        if not self.catalogue.columns(_META):
            return None, ""
        query = (
            "SELECT run, digest, model, users, pushed, kind FROM {meta}"
            " WHERE target = %s AND place = %s"
        )
        row = self._row(query, self.name, place)
        if row is None:
            return None, ""
        run, digest, model, users, pushed, kind = map(str, row)
        return Version(run, digest, model, int(users), pushed), kind

    def _run(self, text: str, *values: object) -> None:
        self._db.execute(self._sql(text), values)

    def _row(self, text: str, *values: object) -> tuple[object, ...] | None:
        return self._db.execute(self._sql(text), values).fetchone()

    def _one(self, text: str, *values: object) -> object:
        row = self._row(text, *values)
        return row[0] if row else None

    def _sql(self, text: str) -> sql.Composed:
        return sql.SQL(text).format(**self.identifiers(""))
