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
    """Store how this checkpoint leaves the rows that it has changed; forget the kept rows of the other staged keys."""
    return sql.SQL(
        "UPDATE eventgen.replaced AS r SET count = t.{version}, present = true, written = pg_current_xact_id()::xid"
        " FROM {stage} AS s JOIN {table} AS t ON {same} WHERE {of_run} AND r.key = {key}"
        " AND t.xmin = pg_current_xact_id()::xid;"
        " UPDATE eventgen.replaced AS r SET count = {buried}, present = false, written = pg_current_xact_id()::xid"
        " FROM {stage} AS s WHERE {of_run} AND r.key = {staged} AND NOT EXISTS (SELECT FROM {table} AS t WHERE {same});"
        " DELETE FROM eventgen.replaced AS r USING {stage} AS s WHERE {of_run} AND r.key = {staged}"
        " AND (r.written IS NULL OR (r.record IS NULL AND NOT r.present))"
    ).format(
        version=ROW_VERSION,
        stage=stage_of(plan),
        table=qualified(plan.table),
        same=same_key(plan, "s", "t"),
        key=key_array(plan, "t"),
        staged=key_array(plan, "s"),
        buried=tombstone_count(plan, sql.SQL("r.key")),
        of_run=sql.SQL("{} AND r.run = {}").format(of_table(plan, "r"), sql.Literal(plan.run)),
    )


def forget_older(days: float) -> sql.Composable:
    """Delete what was kept so many days ago."""
    return sql.SQL(
        "DELETE FROM eventgen.replaced WHERE recorded_at < clock_timestamp() - {}::float8 * interval '1 day'"
    ).format(sql.Literal(days))
