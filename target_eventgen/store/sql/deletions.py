"""Deletions: rows that are marked as gone, rows that leave the table, and tombstones of the latter.

A staged version whose `_sdc_deleted_at` is set is a deletion, and a row with it is gone: it goes on being the end of
its chain, but counts as no row. So a deletion is the transition from a row to none, a version after it that from none
to a row. A deletion of what isn't there is told to nobody, but remembered: it moves the row's version, so that what is
older doesn't come back, and a key that was never there gets a row that is gone, if the deletion has a version or any
content. Without both there is nothing to remember. What a deletion doesn't mention stays as it was; what comes back
begins with nothing.

A hard deletion is the same, after which rows that are gone leave the table. They are kept as tombstones:
`restore_tombstoned` gives a claimed key the row that it had, with a negative count that says so, and
`delete_gone_rows` takes the row out once more if it is still gone. Once the run that deleted a row can't be replayed,
its tombstone is cut down to what `remains`: the key and the version, without which an older one would come back. Where
there are no versions, nothing remains.
"""

from __future__ import annotations

from psycopg2 import sql

from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import DELETED_AT, GENERATION, INSTANT, TABLE_VERSION, VERSION
from target_eventgen.model.versions import FINE
from target_eventgen.store.sql.instants import instant_of
from target_eventgen.store.sql.names import (
    ABSENT,
    NUMBER,
    ROW_HISTORY,
    ROW_INSTANT,
    ROW_VERSION,
    column_name,
    column_names,
    comma_list,
    key_array,
    qualified,
    same_key,
    stage_of,
)


def is_gone(plan: Plan, qualifier: str) -> sql.Composable:
    """Return whether a row is gone, or a staged version a deletion."""
    return (
        sql.SQL("({} IS NOT NULL)").format(column_name(DELETED_AT, qualifier)) if plan.deletable else sql.SQL("false")
    )


def count_origin(plan: Plan) -> sql.Composable:
    """Return the version a new row starts after (part of event ids).

    Where rows leave the table, nothing remembers a key's count, so the count of a new row of that key starts after the
    number of the transaction that stores it: no id comes twice.
    """
    return sql.SQL("(pg_current_xact_id()::text::bigint << 20)" if plan.renewable else "0")


def restore_tombstoned(plan: Plan) -> sql.Composable:
    """Give keys that were claimed as absent the rows that they had, where these may be replayed, or have versions."""
    columns = [column for column in plan.table.columns if column.name not in plan.table.key]
    names = [*(column_name(column) for column in columns), ROW_HISTORY, ROW_INSTANT]
    values = [sql.SQL("{0} = b.{0}").format(name) for name in names]
    if plan.generation:
        # What comes back begins with nothing, so it knows all columns, also those that are younger than its tombstone.
        values.append(sql.SQL("{} = {}").format(sql.Identifier(GENERATION), sql.Literal(plan.generation)))
    return sql.SQL(
        "UPDATE {table} AS t SET {values}, {version} = -b.{version} FROM (SELECT r.* FROM {tombstones},"
        " jsonb_populate_record(NULL::{table}, d.record) AS r"
        " WHERE {lasting}d.run IN (SELECT run FROM eventgen.runs)) AS b"
        " WHERE {same} AND t.xmin = pg_current_xact_id()::xid"
    ).format(
        table=qualified(plan.table),
        values=comma_list(values),
        version=ROW_VERSION,
        tombstones=_tombstones(plan),
        lasting=sql.SQL("" if plan.version is None else "d.remains IS NOT NULL OR "),
        same=same_key(plan, "t", "b"),
    )


def delete_gone_rows(plan: Plan, *, hard: bool, keep_tombstones: bool = False) -> sql.Composable:
    """Delete the rows that a claim made for deletions which say nothing; with hard deletion, all rows that are gone.

    Args:
        plan: of the stream.
        hard: whether rows that are gone leave the table.
        keep_tombstones: whether a tombstone is kept of each row that may be replayed, or has a version.

    Returns one row: how many of the deleted rows this transaction had made.
    """
    said = [column for column in plan.table.content if column.name not in plan.table.key]
    never = sql.SQL("(t.xmin = pg_current_xact_id()::xid AND t.{} = {}{})").format(
        ROW_VERSION,
        count_origin(plan),
        sql.SQL(" AND ROW({}) IS NULL").format(column_names(said, "t")) if said and not hard else sql.SQL(""),
    )
    cleared = sql.SQL(
        "DELETE FROM {table} AS t WHERE ({keys}) IN (SELECT {key} FROM {stage}) AND t.{deleted} IS NOT NULL{made}"
    ).format(
        table=qualified(plan.table),
        keys=column_names(plan.table.key, "t"),
        key=column_names(plan.table.key),
        stage=stage_of(plan),
        deleted=sql.Identifier(DELETED_AT),
        made=sql.SQL("" if hard else " AND {}").format(never),
    )
    if not keep_tombstones:
        return sql.SQL(
            "WITH cleared AS ({cleared} RETURNING {never} AS _eventgen_never)"
            " SELECT count(*) FILTER (WHERE _eventgen_never) FROM cleared"
        ).format(cleared=cleared, never=never)
    count = sql.SQL("jsonb_build_object({}, greatest(abs({}), 1))").format(sql.Literal(VERSION), ROW_VERSION)
    table = {"schema": sql.Literal(plan.table.schema), "name": sql.Literal(plan.table.name)}
    return sql.SQL(
        "WITH cleared AS ({cleared} RETURNING t.*, {never} AS _eventgen_never), risen AS (DELETE FROM eventgen.tombstones"
        " WHERE ctid IN (SELECT d._eventgen_tid FROM {tombstones} WHERE d.key NOT IN (SELECT {key} FROM cleared))),"
        " kept AS (INSERT INTO eventgen.tombstones AS b (table_schema, table_name, key, run, record, remains)"
        " SELECT {schema}, {name}, {key}, coalesce({history}[1], {run}), to_jsonb(c.*) - '_eventgen_never' || {count},"
        " {remains} FROM cleared AS c WHERE NOT _eventgen_never OR {versioned}"
        " ON CONFLICT (table_schema, table_name, key) DO UPDATE"
        " SET run = excluded.run, record = excluded.record, remains = excluded.remains"
        " WHERE b.record - '_eventgen_never' IS DISTINCT FROM excluded.record)"
        " SELECT count(*) FILTER (WHERE _eventgen_never) FROM cleared"
    ).format(
        **table,
        cleared=cleared,
        never=never,
        tombstones=_tombstones(plan),
        key=key_array(plan),
        history=ROW_HISTORY,
        run=sql.Literal(plan.run),
        count=count,
        remains=_remains(plan, count),
        versioned=_is_versioned(plan),
    )


def _tombstones(plan: Plan) -> sql.Composed:
    """Return the tombstones of the staged keys as the relation `d`, each looked up by its key.

    Joined, they would be compared with every staged key where Postgres takes them for few, as it does of those that it
    has no statistics of yet.
    """
    return sql.SQL(
        "(SELECT DISTINCT {key} AS key FROM {stage}) AS s CROSS JOIN LATERAL (SELECT b.*, b.ctid AS _eventgen_tid"
        " FROM eventgen.tombstones AS b WHERE b.table_schema = {schema} AND b.table_name = {name} AND b.key = s.key"
        " OFFSET 0) AS d"
    ).format(
        key=key_array(plan),
        stage=stage_of(plan),
        schema=sql.Literal(plan.table.schema),
        name=sql.Literal(plan.table.name),
    )


def _is_versioned(plan: Plan) -> sql.Composable:
    """Return whether the cleared row `c` has an instant."""
    return sql.SQL("false") if plan.version is None else sql.SQL("{} IS NOT NULL").format(instant_of(plan, "c"))


def _remains(plan: Plan, count: sql.Composable) -> sql.Composable:
    """Return what a tombstone of the cleared row `c` is for good: NULL where nothing can be older than the row."""
    if plan.version is None:
        return sql.SQL("NULL::jsonb")
    versions = [column.name for column in (plan.version, *plan.further_versions)]
    names = [*plan.table.key, *versions, *([FINE] if plan.table.is_fine else []), DELETED_AT, INSTANT]
    return sql.SQL("CASE WHEN {versioned} THEN jsonb_build_object({fields}) || {count} END").format(
        versioned=_is_versioned(plan),
        fields=comma_list(
            sql.SQL("{}::text, {}").format(sql.Literal(name), column_name(name, "c")) for name in dict.fromkeys(names)
        ),
        count=count,
    )


def stamp_table_version(plan: Plan) -> sql.Composable:
    """Store the table version of rows that came with one, though their content may not have changed."""
    return sql.SQL(
        "UPDATE {table} AS t SET {version} = s.{version} FROM (SELECT {key}, max({version}) AS {version} FROM {stage}"
        " WHERE {version} IS NOT NULL AND {deleted} IS NULL GROUP BY {key}) AS s"
        " WHERE {same} AND t.{version} IS DISTINCT FROM s.{version}"
    ).format(
        table=qualified(plan.table),
        version=sql.Identifier(TABLE_VERSION),
        deleted=sql.Identifier(DELETED_AT),
        key=column_names(plan.table.key),
        stage=stage_of(plan),
        same=same_key(plan, "t", "s"),
    )


def stage_deletions(plan: Plan, version: int) -> sql.Composable:
    """Stage a deletion of each row of an older table version, and lock these rows."""
    absent = "".join("0" if column.name in plan.table.key else "1" for column in plan.table.content)
    return sql.SQL(
        "INSERT INTO {stage} ({n}, {absent}, {key}, {deleted}, {version}) SELECT row_number() OVER (), {bits}::varbit,"
        " {key}, statement_timestamp(), {version} FROM (SELECT {key}, {version} FROM {table} WHERE {old}"
        " AND {deleted} IS NULL ORDER BY {key} FOR UPDATE) AS t"
    ).format(
        stage=stage_of(plan),
        n=NUMBER,
        absent=sql.Identifier(ABSENT),
        key=column_names(plan.table.key),
        deleted=sql.Identifier(DELETED_AT),
        version=sql.Identifier(TABLE_VERSION),
        bits=sql.Literal(absent),
        table=qualified(plan.table),
        old=_of_older_version(version),
    )


def delete_older(plan: Plan, version: int, *, hard: bool) -> sql.Composable:
    """Delete the rows of an older table version from the table of a stream without key."""
    parts = {
        "table": qualified(plan.table),
        "deleted": sql.Identifier(DELETED_AT),
        "old": _of_older_version(version),
    }
    if hard:
        return sql.SQL("DELETE FROM {table} WHERE {old}").format(**parts)
    return sql.SQL("UPDATE {table} SET {deleted} = statement_timestamp() WHERE {old} AND {deleted} IS NULL").format(
        **parts
    )


def _of_older_version(version: int) -> sql.Composable:
    """Return whether a row came with an older table version, or with none."""
    return sql.SQL("({0} < {1} OR {0} IS NULL)").format(sql.Identifier(TABLE_VERSION), sql.Literal(version))
