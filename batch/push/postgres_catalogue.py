"""Ask the catalogue of PostgreSQL about tables."""

from typing import LiteralString

import psycopg
from psycopg import sql

from ncf.errors import UsageError

_SHAPE = [("user_id", "text"), ("item_ids", "text[]"), ("scores", "real[]"), ("policy", "text")]


class Catalogue:
    """Tables of a schema.

    Parameters
    ----------
    connection : psycopg.Connection
        Open.
    schema : str
        Name of the schema.
    """

    def __init__(self, connection: "psycopg.Connection[tuple[object, ...]]", schema: str) -> None:
        self._db, self._schema = connection, schema

    def columns(self, name: str) -> list[tuple[str, str]]:
        """List names and types of the columns of a table; none if there is no such table."""
        rows = self._db.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = %s AND relname = %s AND relkind IN ('r', 'p', 'v', 'm', 'f')"
            " AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [self._schema, name],
        ).fetchall()
        return [(str(column), str(kind)) for column, kind in rows]

    def has_key(self, name: str) -> bool:
        """Whether ``user_id`` alone is the primary key of a table."""
        return bool(
            self._one(
                "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = indrelid"
                " JOIN pg_namespace n ON n.oid = relnamespace"
                " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
                " WHERE nspname = %s AND relname = %s AND indisprimary AND indnatts = 1"
                " AND attname = 'user_id'",
                self._schema,
                name,
            )
        )

    def view(self, name: str) -> str | None:
        """Name a view that reads the table; None if there is none."""
        found = self._one(
            "SELECT min(v.oid::regclass::text) FROM pg_depend d"
            " JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class"
            " JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relname = %s AND v.oid <> c.oid",
            self._schema,
            name,
        )
        return None if found is None else str(found)

    def copy_grants(self, name: str, stage: str) -> None:
        """Give a table the rights that others have on another one."""
        rows = self._db.execute(
            "SELECT DISTINCT COALESCE(r.rolname, 'public'), a.privilege_type, r.rolname IS NULL"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace,"
            " aclexplode(relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee"
            " WHERE nspname = %s AND relname = %s AND a.grantee <> c.relowner",
            [self._schema, name],
        ).fetchall()
        for role, privilege, everybody in rows:
            whom = sql.SQL("PUBLIC") if everybody else sql.Identifier(str(role))
            self._db.execute(
                sql.SQL("GRANT {} ON {} TO {}").format(
                    sql.SQL(str(privilege)),
                    sql.Identifier(self._schema, stage),
                    whom,
                )
            )

    def _one(self, text: LiteralString, *values: object) -> object:
        row = self._db.execute(text, values).fetchone()
        return row[0] if row else None


def require_shape(catalogue: Catalogue, name: str, where: str) -> None:
    """Refuse a table that is there and has other columns, or another key.

    Raises
    ------
    UsageError
        It has.
    """
    found = catalogue.columns(name)
    if found and (found != _SHAPE or not catalogue.has_key(name)):
        shown, wanted = (", ".join(map(" ".join, each)) for each in (found, _SHAPE))
        raise UsageError(
            f"is a table of another shape ({shown})",
            where=where,
            remedy=f"name another with ?table=NAME, or give it {wanted}, user_id as its key",
        )


def require_no_view(catalogue: Catalogue, name: str, where: str) -> None:
    """Refuse to swap a table that a view reads.

    Raises
    ------
    UsageError
        One does.
    """
    if view := catalogue.view(name):
        raise UsageError(
            f"view {view} reads the table, and would go on reading the old one",
            where=where,
            remedy="leave `swap` out, or let the view read what is not swapped",
        )
