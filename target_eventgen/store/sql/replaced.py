"""The rows that a run replaces, kept so that the run can be undone: the setting `undo_days`.

`eventgen.replaced` has for each key that a run has changed the row as it was before (`record`; NULL: there was none)
and the transaction that had written it (`before`); then the count of the row as the run left it, whether a row was left
at all (`present`), and the transaction in which (`written`). Where something else changes the row between two changes
of one run, the later row counts: only what the run did since then can be undone without undoing that.

A row that nothing has a tombstone of, as where an undo has taken it out, is absent as the run left it.

`keep` follows the claim, which has locked the rows; `settle` follows all writes, and forgets keys that didn't change.
"""

from __future__ import annotations

from psycopg2 import sql

from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import VERSION
from target_eventgen.store.sql.names import ROW_VERSION, column_names, key_array, qualified, same_key, stage_of


def of_table(plan: Plan, name: str) -> sql.Composed:
    """Return whether an entry of `eventgen.replaced`, or of another table of ours, is one of the stream's table."""
    return sql.SQL("{0}.table_schema = {1} AND {0}.table_name = {2}").format(
        sql.Identifier(name), sql.Literal(plan.table.schema), sql.Literal(plan.table.name)
    )


def tombstone_count(plan: Plan, key: sql.Composable) -> sql.Composed:
    """Return the count of the tombstone of a key; NULL where there is none."""
    return sql.SQL("(SELECT (d.record ->> {})::bigint FROM eventgen.tombstones AS d WHERE {} AND d.key = {})").format(
        sql.Literal(VERSION), of_table(plan, "d"), key
    )


def keep(plan: Plan) -> sql.Composable:
    """Keep the rows of the staged keys as they were before this checkpoint, whether or not it will change them."""
    return sql.SQL(
        "INSERT INTO eventgen.replaced AS r (table_schema, table_name, key, run, record, before, count)"
        " SELECT {schema}, {name}, {key}, {run}, CASE WHEN t.xmin <> pg_current_xact_id()::xid THEN to_jsonb(t.*) END,"
        " t.xmin, CASE WHEN t.xmin = pg_current_xact_id()::xid THEN {buried} END"
        " FROM {table} AS t WHERE ({keys}) IN (SELECT {staged} FROM {stage})"
        " ON CONFLICT (table_schema, table_name, key, run) DO UPDATE"
        " SET record = excluded.record, before = excluded.before, recorded_at = excluded.recorded_at"
        " WHERE CASE WHEN excluded.record IS NULL THEN r.present OR r.count <> excluded.count"
        " ELSE NOT r.present OR r.written <> excluded.before END"
    ).format(
        schema=sql.Literal(plan.table.schema),
        name=sql.Literal(plan.table.name),
        key=key_array(plan, "t"),
        run=sql.Literal(plan.run),
        buried=tombstone_count(plan, key_array(plan, "t")),
        table=qualified(plan.table),
        keys=column_names(plan.table.key, "t"),
        staged=column_names(plan.table.key),
        stage=stage_of(plan),
    )


def settle(plan: Plan) -> sql.Composable:
    """Store how this checkpoint leaves the rows that it has changed; forget the kept rows of the other staged keys.

    Each row and each entry is looked up by its whole key. As joins, they were all read anew for each staged key: no
    statistics know the run yet, nor what this transaction has written, and Postgres expects a few of each.
    """
    of_run = sql.SQL("{} AND r.run = {}").format(of_table(plan, "r"), sql.Literal(plan.run))
    entry = sql.SQL("(SELECT r.ctid FROM eventgen.replaced AS r WHERE {} AND r.key = {}) AS _eventgen_entry").format(
        of_run, key_array(plan, "s")
    )
    return sql.SQL(
        "WITH kept AS MATERIALIZED (SELECT {entry}, NOT EXISTS (SELECT FROM {table} AS t WHERE {same}) AS _eventgen_gone,"
        " (SELECT t.{version} FROM {table} AS t WHERE {same} AND t.xmin = pg_current_xact_id()::xid) AS _eventgen_count"
        " FROM {stage} AS s) UPDATE eventgen.replaced AS r"
        " SET count = CASE WHEN s._eventgen_gone THEN {buried} ELSE s._eventgen_count END, present = NOT s._eventgen_gone,"
        " written = pg_current_xact_id()::xid FROM kept AS s"
        " WHERE r.ctid = s._eventgen_entry AND (s._eventgen_gone OR s._eventgen_count IS NOT NULL);"
        " WITH kept AS MATERIALIZED (SELECT {entry} FROM {stage} AS s)"
        " DELETE FROM eventgen.replaced AS r USING kept AS s WHERE r.ctid = s._eventgen_entry"
        " AND (r.written IS NULL OR (r.record IS NULL AND NOT r.present))"
    ).format(
        entry=entry,
        version=ROW_VERSION,
        stage=stage_of(plan),
        table=qualified(plan.table),
        same=same_key(plan, "s", "t"),
        buried=tombstone_count(plan, sql.SQL("r.key")),
    )


def forget_older(days: float) -> sql.Composable:
    """Delete what was kept so many days ago."""
    return sql.SQL(
        "DELETE FROM eventgen.replaced WHERE recorded_at < clock_timestamp() - {}::float8 * interval '1 day'"
    ).format(sql.Literal(days))
