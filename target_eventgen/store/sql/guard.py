"""Events that a guard holds: which they are, and how those that nothing holds any more go into the outbox.

Theory of operation. A held event is not in `eventgen.events` but in `eventgen.held_events`, with all that it says, put
there by the statement that writes its row. So nobody who delivers, follows, replays or deletes what the outbox has can
meet it, and it is released by being moved: from then on it is an event like every other, recorded at that moment.

- `held`: beyond the bound of its rule's guard; it waits for a person.
- `waiting`: an event whose key has an earlier one here, or one that was released behind such an event. It is moved once
  nothing before it is held, by whoever decides on that.
- `discarded`: it is never moved. Its id remains, so that nothing records it again.

Order of a key. Whoever records events of a key has its row locked, so it sees what others held of the key before, and
sends its own event behind that. Whoever moves events out of here excludes all transactions that record any
(`LOCK_EVENTS`): none of them can send an event behind one that is leaving, or past one that is not.

The statement of one pass has a snapshot that is older than its locks, and may miss what was held meanwhile. `others`
finds that out afterwards, and the transaction is repeated in two passes, as where a replay is met.
"""

from __future__ import annotations

from typing import Final

from psycopg2 import sql

from target_eventgen.model.guard import DISCARDED, HELD, MAX_COUNTED_ROWS, WAITING
from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import Table
from target_eventgen.store.sql.names import comma_list, qualified

COLUMNS: Final = sql.SQL(
    "id, source, type, subject, time, partitionkey, stream, key, data, traceparent, tracestate, table_schema, table_name"
)
"""The columns of an event that are given."""

ORDER: Final = sql.SQL("_eventgen_at NULLS FIRST, _eventgen_n, _eventgen_rule")
"""The order of recording within a batch."""

BY_LOADS: Final = sql.SQL("coalesce(current_setting('eventgen.published', true) = 'yes', false)")
"""Whether the events of this transaction are published by itself, and marked for no relay."""

LOCK_EVENTS: Final = sql.SQL("LOCK TABLE eventgen.events IN SHARE ROW EXCLUSIVE MODE")
"""Excludes transactions that record events, but no reader."""

HELD_BY_TYPE: Final = sql.SQL(
    "(SELECT coalesce(jsonb_object_agg(type, jsonb_build_array(held, waiting)), '{{}}') FROM (SELECT type,"
    " count(*) FILTER (WHERE state = {held}) AS held, count(*) FILTER (WHERE state = {waiting}) AS waiting"
    " FROM held GROUP BY type) AS by_type)"
).format(held=sql.Literal(HELD), waiting=sql.Literal(WAITING))
"""How many events a statement holds, and how many wait, by type."""


def recorded(plan: Plan, values: sql.Composable) -> sql.Composed:
    """Return `recorded`, and `held`, the events that were not recorded but held.

    An event that is known, from wherever, is in neither. Only new events count for a guard.

    Args:
        plan: of the stream.
        values: of the columns of an event, in terms of `described`.
    """
    known = sql.SQL(
        "NOT EXISTS (SELECT FROM eventgen.events AS e WHERE e.id = said.id)"
        " AND NOT EXISTS (SELECT FROM eventgen.held_events AS h WHERE h.id = said.id)"
    )
    return sql.SQL(
        ", said ({columns}, _eventgen_at, _eventgen_n, _eventgen_rule) AS MATERIALIZED"
        " (SELECT {values}, _eventgen_at, _eventgen_n, _eventgen_rule FROM described)"
        ", bounds AS ({bounds})"
        ", fresh AS (SELECT said.*, row_number() OVER (PARTITION BY _eventgen_rule ORDER BY {order}) > bounds.remaining"
        " AS _eventgen_beyond FROM said JOIN bounds ON bounds.rule = said._eventgen_rule WHERE {unknown})"
        ", sorted AS MATERIALIZED (SELECT fresh.*, CASE WHEN _eventgen_beyond THEN {held}"
        " WHEN bool_or(_eventgen_beyond) OVER (PARTITION BY subject ORDER BY {order})"
        " OR EXISTS (SELECT FROM eventgen.held_events AS h WHERE h.subject = fresh.subject AND h.state <> {discarded}"
        "  AND (h.table_schema, h.table_name) = (fresh.table_schema, fresh.table_name))"
        " THEN {waiting} END AS _eventgen_state FROM fresh)"
        ", recorded AS (INSERT INTO eventgen.events ({columns}) SELECT {columns} FROM sorted"
        " WHERE _eventgen_state IS NULL ORDER BY {order} ON CONFLICT (id) DO NOTHING RETURNING type)"
        ", held AS (INSERT INTO eventgen.held_events ({columns}, run, state, before_commit)"
        " SELECT {columns}, {run}, _eventgen_state, {by_loads} FROM sorted"
        " WHERE _eventgen_state IS NOT NULL ORDER BY {order} ON CONFLICT (id) DO NOTHING RETURNING type, state)"
        "{counted}"
    ).format(
        columns=COLUMNS,
        values=values,
        bounds=_bounds(plan),
        order=ORDER,
        unknown=known,
        held=sql.Literal(HELD),
        waiting=sql.Literal(WAITING),
        discarded=sql.Literal(DISCARDED),
        run=sql.Literal(plan.run),
        by_loads=BY_LOADS,
        counted=_counted(plan) if any(bound is not None for bound in plan.allowed) else sql.SQL(""),
    )


def _bounds(plan: Plan) -> sql.Composable:
    """Return each rule's number, definition, recorded and held events so far, and what remains; NULL: no bound."""
    allowed = plan.allowed or (None,) * len(plan.rules)
    rows = comma_list(
        sql.SQL("({}, {}, {}::bigint)").format(
            sql.Literal(number), sql.Literal(rule.definition if bound is not None else None), sql.Literal(bound)
        )
        for number, (rule, bound) in enumerate(zip(plan.rules, allowed, strict=True), start=1)
    )
    return sql.SQL(
        "SELECT rule.number AS rule, rule.definition, coalesce((run.guarded -> rule.definition ->> 'events')::bigint, 0) AS events,"
        " coalesce((run.guarded -> rule.definition ->> 'held')::bigint, 0) AS held,"
        " rule.allowed - coalesce((run.guarded -> rule.definition ->> 'events')::bigint, 0) AS remaining"
        " FROM (VALUES {rows}) AS rule (number, definition, allowed) LEFT JOIN eventgen.runs AS run ON run.run = {run}"
    ).format(rows=rows, run=sql.Literal(plan.run))


def _counted(plan: Plan) -> sql.Composable:
    """Return the write of what the run has recorded and held of each guarded rule, this batch included."""
    return sql.SQL(
        ", counted AS (UPDATE eventgen.runs SET guarded = guarded || more.counts FROM"
        " (SELECT jsonb_object_agg(definition, jsonb_build_object('events', events + number, 'held', held + beyond)) AS counts"
        " FROM (SELECT _eventgen_rule, count(*) AS number, count(*) FILTER (WHERE _eventgen_beyond) AS beyond FROM sorted"
        "  GROUP BY 1) AS batch JOIN bounds ON bounds.rule = batch._eventgen_rule WHERE definition IS NOT NULL) AS more"
        " WHERE run = {run} AND more.counts IS NOT NULL)"
    ).format(run=sql.Literal(plan.run))


def of_table(table: Table) -> sql.Composable:
    """Return whether an event of a table is held, waits, or was discarded."""
    return sql.SQL(
        "SELECT EXISTS (SELECT FROM eventgen.held_events WHERE table_schema = {} AND table_name = {})"
    ).format(sql.Literal(table.schema), sql.Literal(table.name))


def others(plan: Plan) -> sql.Composed:
    """Return the query for what other transactions have held of a table's events, and nobody has discarded."""
    return sql.SQL(
        "SELECT FROM eventgen.held_events WHERE table_schema = {} AND table_name = {} AND state <> {}"
        " AND transaction_id <> pg_current_xact_id()"
    ).format(sql.Literal(plan.table.schema), sql.Literal(plan.table.name), sql.Literal(DISCARDED))


def counted(run: int) -> sql.Composable:
    """Return what a run has counted of its guarded rules; NULL before its first checkpoint."""
    return sql.SQL("SELECT (SELECT guarded FROM eventgen.runs WHERE run = {})").format(sql.Literal(run))


def undecided(source: str) -> sql.Composable:
    """Return (number of the events of a source that are held, the seconds since the first of them was recorded)."""
    return sql.SQL(
        "SELECT count(*), extract(epoch FROM clock_timestamp() - min(recorded_at))::float8 FROM eventgen.held_events"
        " WHERE source = {} AND state = {}"
    ).format(sql.Literal(source), sql.Literal(HELD))


def released_to_loads(source: str) -> sql.Composable:
    """Return whether events of a source wait for nothing but a load that publishes them."""
    return sql.SQL("SELECT EXISTS ({})").format(_free(source, by_loads=True))


def move(source: str | None) -> sql.Composable:
    """Move into the outbox what waits for nothing any more, in the order of each key.

    Args:
        source: the pipeline whose events are moved that a load must publish; None: those of all pipelines that a relay
            delivers.
    """
    return sql.SQL(
        "WITH gone AS (DELETE FROM eventgen.held_events WHERE sequence IN ({free}) RETURNING *)"
        " INSERT INTO eventgen.events ({columns}) SELECT {columns} FROM gone ORDER BY sequence ON CONFLICT (id) DO NOTHING"
    ).format(free=_free(source, by_loads=source is not None), columns=COLUMNS)


def _free(source: str | None, *, by_loads: bool) -> sql.Composed:
    """Return the query for the sequences of the events that wait for no earlier one of their key.

    Args:
        source: only those of this pipeline; None: of all.
        by_loads: whether those that a load must publish, or those that a relay delivers.
    """
    return sql.SQL(
        "SELECT sequence FROM (SELECT sequence, state, source, before_commit,"
        "   bool_or(state = {held} OR before_commit <> {by_loads} OR source <> {source}::text)"
        "    OVER (PARTITION BY table_schema, table_name, subject ORDER BY sequence) AS behind"
        "  FROM eventgen.held_events WHERE state <> {discarded}"
        "   AND subject IN (SELECT subject FROM eventgen.held_events WHERE state = {waiting})) AS h"
        " WHERE state = {waiting} AND before_commit = {by_loads} AND behind IS NOT TRUE AND ({source}::text IS NULL OR source = {source})"
    ).format(
        held=sql.Literal(HELD),
        waiting=sql.Literal(WAITING),
        discarded=sql.Literal(DISCARDED),
        by_loads=sql.Literal(by_loads),
        source=sql.Literal(source),
    )


def rows_up_to(table: Table) -> sql.Composable:
    """Return how many rows a table has, counted no further than is exact."""
    return sql.SQL("SELECT count(*) FROM (SELECT FROM {} LIMIT {}) AS counted").format(
        qualified(table), sql.Literal(MAX_COUNTED_ROWS + 1)
    )


def estimated_rows(table: Table) -> sql.Composable:
    """Return Postgres's plan of reading a table, which says how many rows it takes it to have."""
    return sql.SQL("EXPLAIN (FORMAT JSON) SELECT FROM {}").format(qualified(table))
