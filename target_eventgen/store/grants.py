"""Privileges on a table that has just been made (setting `grants`), in the transaction that makes it."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import extensions, sql

from target_eventgen.errors import DatabaseError
from target_eventgen.model.grants import Grant
from target_eventgen.model.tables import Table
from target_eventgen.store.connection import single_value


def give(cursor: extensions.cursor, table: Table, grants: Sequence[Grant]) -> None:
    """Grant the table's privileges, and USAGE on its schema to whoever lacks it.

    Args:
        cursor: of the transaction that has made the table.
        table: of a stream.
        grants: of the settings.

    Raises:
        DatabaseError: a role doesn't exist, or the user may not grant USAGE on the schema.
    """
    for grant in grants:
        role = sql.Identifier(grant.role)
        if grant.role != "public":
            cursor.execute(
                sql.SQL("SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {})").format(
                    sql.Literal(grant.role)
                )
            )
            if not single_value(cursor):
                raise DatabaseError(
                    f'stream "{table.stream}": grants names the role "{grant.role}", which doesn\'t exist on this server; '
                    "CREATE ROLE it, or correct grants"
                )
        usage = sql.SQL("SELECT has_schema_privilege({}, {}, 'USAGE')").format(
            sql.Literal(grant.role), sql.Literal(table.schema)
        )
        cursor.execute(usage)
        if not single_value(cursor):
            # Postgres only warns where the user may not.
            cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(table.schema), role))
            cursor.execute(usage)
            if not single_value(cursor):
                raise DatabaseError(
                    f'stream "{table.stream}": grants names the role "{grant.role}", to which this user may not grant USAGE '
                    f'on the schema "{table.schema}"; let its owner do so, once'
                )
        cursor.execute(
            sql.SQL("GRANT {} ON TABLE {} TO {}").format(
                sql.SQL(", ").join(map(sql.SQL, grant.privileges)),
                sql.Identifier(table.schema, table.name),
                role,
            )
        )
