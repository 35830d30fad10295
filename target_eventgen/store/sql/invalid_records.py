"""Records that could not be loaded, in `eventgen.invalid_records`: one that is sent again is there once a table."""

from __future__ import annotations

from psycopg2 import sql

from target_eventgen.model.plan import Plan
from target_eventgen.store.sql.names import origin


def add(plan: Plan, reason: str, record: str) -> sql.Composable:
    """Store a record that could not be loaded.

    Args:
        plan: of the stream.
        reason: what is wrong, without any value of the record.
        record: as JSON.
    """
    return add_from(plan, reason, sql.SQL("(VALUES ({}::text)) AS row (record)").format(sql.Literal(record)))


def add_from(plan: Plan, reason: str, relation: sql.Composable) -> sql.Composed:
    """Store records that could not be loaded for one reason, from a relation that has them in `record`, as text."""
    # Of a table whose ids leave out table and source, what earlier code kept is recognised; see `events`.
    form = "jsonb_build_array({}, {}, record{})::text" if plan.names_table else "{} || {} || record{}"
    stream_and_reason = [sql.SQL("{}::text").format(sql.Literal(each)) for each in (plan.table.stream, reason)]
    return sql.SQL(
        "INSERT INTO eventgen.invalid_records (id, stream, reason, record, source, table_schema, table_name)"
        " SELECT encode(sha256(convert_to({whole}, 'UTF8')), 'hex'), {stream}, {reason}, record::json,"
        " {source}, {schema}, {name} FROM {relation} ON CONFLICT (id) DO NOTHING"
    ).format(
        whole=sql.SQL(form).format(*stream_and_reason, origin(plan)),
        stream=stream_and_reason[0],
        reason=stream_and_reason[1],
        source=sql.Literal(plan.source),
        schema=sql.Literal(plan.table.schema),
        name=sql.Literal(plan.table.name),
        relation=relation,
    )
