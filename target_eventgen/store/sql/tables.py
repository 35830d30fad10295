"""The streams' tables: what Postgres has of them, how they are made, and how they follow a SCHEMA that has grown."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2 import sql

from target_eventgen.model.tables import GENERATION, OWN, Column, Table
from target_eventgen.store.sql.names import column_name, column_names, comma_list, qualified


def schema_exists(name: str) -> sql.Composable:
    """Return whether a schema exists; CREATE SCHEMA IF NOT EXISTS takes a right even where the schema exists."""
    return sql.SQL("SELECT to_regnamespace({}) IS NOT NULL").format(sql.Literal('"' + name.replace('"', '""') + '"'))


def create_schema(name: str) -> sql.Composable:
    """Create a schema."""
    return sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name))


def create_table(table: Table) -> sql.Composable:
    """Create a stream's table. Only keys are NOT NULL: any other property may be missing from a record."""
    lines = [sql.SQL("{} {}").format(column_name(column), sql.SQL(column.type)) for column in table.columns]
    lines += [sql.SQL("{} {}").format(column_name(name), sql.SQL(type_)) for name, type_ in OWN]
    if table.key:
        lines.append(sql.SQL("PRIMARY KEY ({})").format(column_names(table.key)))
    return sql.SQL("CREATE TABLE {} ({})").format(qualified(table), comma_list(lines))


def add_columns(table: Table, columns: Sequence[Column]) -> sql.Composable:
    """Add columns that the table lacks."""
    clauses = [
        sql.SQL("ADD COLUMN IF NOT EXISTS {} {}").format(column_name(column), sql.SQL(column.type))
        for column in columns
    ]
    return sql.SQL("ALTER TABLE {} {}").format(qualified(table), comma_list(clauses))


def add_generation(table: Table) -> sql.Composable:
    """Give a table's rows the generation 0 before it gets columns, none of which they know; see `added_columns`."""
    return sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} integer NOT NULL DEFAULT 0").format(
        qualified(table), sql.Identifier(GENERATION)
    )


def widen(table: Table, columns: Sequence[Column], types: Sequence[Column]) -> sql.Composable:
    """Give columns wider types; none of their values is lost.

    Args:
        table: of the stream.
        columns: with the types that they get.
        types: all columns as they are.
    """
    stored = {column.name: column.type for column in types}
    clauses = [
        sql.SQL("ALTER COLUMN {} TYPE {} USING {}").format(
            column_name(column), sql.SQL(column.type), _converted(column, stored[column.name])
        )
        for column in columns
    ]
    return sql.SQL("ALTER TABLE {} {}").format(qualified(table), comma_list(clauses))


def _converted(column: Column, stored: str) -> sql.Composable:
    """Return a column's value in a wider type."""
    if column.type == "jsonb":
        return sql.SQL("{}::jsonb" if stored == "json" else "to_jsonb({})").format(column_name(column))
    # A cast of a float to numeric keeps 6 or 15 digits; as text it has all that it needs.
    via = "::text" if stored in {"real", "double precision"} else ""
    return sql.SQL(f"{{}}{via}::{column.type}").format(column_name(column))


UNTYPED = "only null so far, to target-eventgen"
"""The comment on a column that was made for a property which only ever was null."""


def mark_untyped(table: Table, name: str) -> sql.Composable:
    """Mark a column as one that only ever was null."""
    return sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(qualified(table), column_name(name), sql.Literal(UNTYPED))


def untyped_columns(table: Table) -> sql.Composable:
    """Return the names of the columns that are marked so."""
    return sql.SQL(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass({}) AND attnum > 0 AND NOT attisdropped"
        " AND col_description(attrelid, attnum) = {}"
    ).format(sql.Literal(table.quoted), sql.Literal(UNTYPED))


def has_values(table: Table, name: str) -> sql.Composable:
    """Return whether a column has anything but NULL."""
    return sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} IS NOT NULL)").format(qualified(table), column_name(name))


def give_type(table: Table, column: Column) -> sql.Composable:
    """Give a column that is all NULL the type of its values to come."""
    return sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {} USING NULL").format(
        qualified(table), column_name(column), sql.SQL(column.type)
    )


def unmark_untyped(table: Table, name: str) -> sql.Composable:
    """Take the mark off a column whose type is known."""
    return sql.SQL("COMMENT ON COLUMN {}.{} IS NULL").format(qualified(table), column_name(name))


def add_key(table: Table) -> sql.Composable:
    """Give the table its primary key."""
    return sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(qualified(table), column_names(table.key))


def existing_columns(table: Table) -> sql.Composable:
    """Return (name, type, what it is a domain of) of each column; no row where the table doesn't exist."""
    return sql.SQL(
        "WITH RECURSIVE made AS (SELECT attname, attnum, format_type(atttypid, atttypmod) AS type, atttypid AS base,"
        " atttypmod AS modifier, 0 AS depth FROM pg_attribute"
        " WHERE attrelid = to_regclass({}) AND attnum > 0 AND NOT attisdropped"
        " UNION ALL SELECT attname, attnum, type, typbasetype, typtypmod, depth + 1 FROM made"
        " JOIN pg_type ON pg_type.oid = base WHERE typtype = 'd')"
        " SELECT DISTINCT ON (attnum) attname, type, CASE WHEN depth > 0 THEN format_type(base, modifier) END"
        " FROM made ORDER BY attnum, depth DESC"
    ).format(sql.Literal(table.quoted))


def existing_keys(table: Table) -> sql.Composable:
    """Return (is primary, names) of each unique index over whole columns and all rows."""
    return sql.SQL(
        "SELECT i.indisprimary, ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = i.indrelid"
        " AND a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1]))"
        " FROM pg_index i WHERE i.indrelid = to_regclass({}) AND i.indisunique AND i.indisvalid"
        " AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL"
    ).format(sql.Literal(table.quoted))


def place_among_foreign_keys(table: Table) -> sql.Composable:
    """Return the table and all that its foreign keys lead to, as numbers, and whether they lead back to the table."""
    return sql.SQL(
        "WITH RECURSIVE referred AS (SELECT to_regclass({name})::oid AS relation"
        " UNION SELECT confrelid FROM referred JOIN pg_catalog.pg_constraint ON conrelid = relation AND contype = 'f')"
        " SELECT array_agg(relation::bigint), EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contype = 'f'"
        " AND confrelid = to_regclass({name}) AND conrelid IN (SELECT relation FROM referred)) FROM referred"
    ).format(name=sql.Literal(table.quoted))


def foreign_keys(table: Table) -> sql.Composable:
    """Return the foreign keys to and from the table, of tables that the user may read.

    Of each: its name; schema, name and columns of what refers, and of what is referred to. Those of partitions are
    those of the whole table. One that Postgres doesn't enforce, and one over periods, are left out (both since 18).
    """
    columns = (
        "ARRAY(SELECT attname::text FROM unnest(c.{0}) WITH ORDINALITY AS k (number, place) JOIN pg_catalog.pg_attribute"
        " ON attrelid = c.{1} AND attnum = k.number ORDER BY k.place)"
    )
    readable = "has_table_privilege(c.{0}, 'SELECT') AND has_schema_privilege({1}.relnamespace, 'USAGE')"
    return sql.SQL(
        "SELECT c.conname, n.nspname, a.relname, {columns}, m.nspname, b.relname, {referred} FROM pg_catalog.pg_constraint AS c"
        " JOIN pg_catalog.pg_class AS a ON a.oid = c.conrelid JOIN pg_catalog.pg_class AS b ON b.oid = c.confrelid"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = a.relnamespace"
        " JOIN pg_catalog.pg_namespace AS m ON m.oid = b.relnamespace"
        " WHERE c.contype = 'f' AND c.conparentid = 0 AND to_regclass({name}) IN (c.conrelid, c.confrelid)"
        " AND coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)"
        " AND NOT coalesce((to_jsonb(c) ->> 'conperiod')::boolean, false) AND {reads_a} AND {reads_b} ORDER BY c.conname"
    ).format(
        columns=sql.SQL(columns.format("conkey", "conrelid")),
        referred=sql.SQL(columns.format("confkey", "confrelid")),
        name=sql.Literal(table.quoted),
        reads_a=sql.SQL(readable.format("conrelid", "a")),
        reads_b=sql.SQL(readable.format("confrelid", "b")),
    )


def referring_tables(table: Table) -> sql.Composable:
    """Return the quoted names of the streams' tables whose foreign keys refuse that the table's rows are deleted."""
    return sql.SQL(
        "SELECT coalesce(array_agg(DISTINCT name), '{{}}') FROM (SELECT '\"' || replace(table_schema, '\"', '\"\"') || '\".\"'"
        " || replace(table_name, '\"', '\"\"') || '\"' AS name FROM eventgen.streams) AS stream JOIN pg_catalog.pg_constraint"
        " ON conrelid = to_regclass(name) WHERE contype = 'f' AND confdeltype IN ('a', 'r') AND confrelid <> conrelid"
        " AND confrelid = to_regclass({})"
    ).format(sql.Literal(table.quoted))


def has_rows(table: Table) -> sql.Composable:
    """Return whether the table holds anything."""
    return sql.SQL("SELECT EXISTS (SELECT FROM {})").format(qualified(table))
