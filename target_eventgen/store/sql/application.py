"""A rule applied to the rows that are there, in pieces: each such row is judged as if it had just been created.

`stage_rows` stages the keys of the next rows, in key order, that satisfy the rule and have no event of its type yet;
`lock_rows` locks these rows; `record` judges them once more, as they are under the locks, and records their events. A
row that is not locked is left alone: so an event of a later transition of the row can't have a smaller sequence.

A transaction that makes a row satisfy the rule has recorded the event of that transition with it, so whoever sees the
row sees its event: of an application and the transitions around it, exactly one tells how the row came to satisfy it.
"""

from __future__ import annotations

from psycopg2 import sql

from target_eventgen.model.plan import Plan
from target_eventgen.model.recorded import APPLIED
from target_eventgen.model.tables import DELETED_AT
from target_eventgen.store.sql.deletions import is_gone
from target_eventgen.store.sql.events import counts, events, judged, subject
from target_eventgen.store.sql.names import (
    AT,
    COUNT,
    NUMBER,
    ROW_VERSION,
    column_name,
    column_names,
    comma_list,
    old_content,
    qualified,
    same_key,
    stage_of,
)


def _rows_as_creations(plan: Plan, *, staged: bool, after: str | None = None) -> sql.Composed:
    """Return the query for the transitions from no row to each row that is there.

    Args:
        plan: of the stream.
        staged: whether only the rows of staged keys.
        after: a key as a JSON object, after which the rows are.
    """
    content = plan.table.content
    nothing = [sql.SQL("CASE WHEN false THEN {} END").format(column_name(column, "t")) for column in content]
    columns: list[sql.Composable] = [
        *(column_name(column, "t") for column in content),
        *(column_name(column, "t") for column in plan.table.metadata if column.name == DELETED_AT),
        *old_content(plan, nothing),
        sql.SQL("NULL::bigint AS {}").format(AT),
        sql.SQL("{} AS {}").format(sql.SQL("s.{}").format(NUMBER) if staged else sql.SQL("0"), NUMBER),
        sql.SQL("t.{} AS {}").format(ROW_VERSION, COUNT),
        sql.SQL("false AS _eventgen_existed, false AS _eventgen_gone"),
    ]
    conditions: list[sql.Composable] = [sql.SQL("NOT {}").format(is_gone(plan, "t"))]
    if after is not None:
        conditions.append(
            sql.SQL("ROW({}) > (SELECT {} FROM jsonb_populate_record(NULL::{}, {}::jsonb) AS r)").format(
                column_names(plan.table.key, "t"),
                column_names(plan.table.key, "r"),
                qualified(plan.table),
                sql.Literal(after),
            )
        )
    return sql.SQL("SELECT {} FROM {} AS t{} WHERE {}").format(
        comma_list(columns),
        qualified(plan.table),
        sql.SQL(" JOIN {} AS s ON {}").format(stage_of(plan), same_key(plan, "s", "t")) if staged else sql.SQL(""),
        sql.SQL(" AND ").join(conditions),
    )


def _unreported(plan: Plan) -> sql.Composed:
    """Return whether no event of the rule's type is recorded, held or discarded of the row of `_eventgen_transition`.

    An event that earlier code recorded doesn't say its table, and counts as one of each.
    """
    (rule,) = plan.rules
    known = sql.SQL(
        "known.type = {} AND known.stream = {} AND known.source = {} AND known.partitionkey = {}"
        " AND coalesce(known.table_schema = {} AND known.table_name = {}, true)"
    ).format(
        sql.Literal(rule.type),
        sql.Literal(plan.table.stream),
        sql.Literal(plan.source),
        subject(plan),
        sql.Literal(plan.table.schema),
        sql.Literal(plan.table.name),
    )
    return sql.SQL(
        "(NOT EXISTS (SELECT FROM eventgen.events AS known WHERE {known})"
        " AND NOT EXISTS (SELECT FROM eventgen.held_events AS known WHERE {known}))"
    ).format(known=known)


def count(plan: Plan) -> sql.Composable:
    """Return how many rows satisfy the plan's only rule, how many of them have no event of it, and one of these."""
    return sql.SQL(
        "WITH transitions AS ({rows}){judged} SELECT count(*), count(*) FILTER (WHERE _eventgen_new), min({subject}) FILTER (WHERE _eventgen_new)"
        " FROM (SELECT _eventgen_transition.*, {unreported} AS _eventgen_new FROM judged AS _eventgen_transition)"
        " AS _eventgen_transition"
    ).format(
        rows=_rows_as_creations(plan, staged=False),
        judged=judged(plan),
        subject=subject(plan),
        unreported=_unreported(plan),
    )


def stage_rows(plan: Plan, after: str | None, limit: int) -> sql.Composable:
    """Stage the keys of the next rows that satisfy the plan's only rule and have no event of it.

    Args:
        plan: of the stream; its staging table is empty.
        after: the last key of the piece before, as `last_staged` has it; None: from the first row on.
        limit: keys at most.
    """
    key = column_names(plan.table.key)
    return sql.SQL(
        "WITH transitions AS ({rows}){judged} INSERT INTO {stage} ({n}, {key}) SELECT row_number() OVER (ORDER BY {key}), {key}"
        " FROM (SELECT {key} FROM judged AS _eventgen_transition WHERE {unreported} ORDER BY {key} LIMIT {limit}) AS next"
    ).format(
        rows=_rows_as_creations(plan, staged=False, after=after),
        judged=judged(plan),
        stage=stage_of(plan),
        n=NUMBER,
        key=key,
        unreported=_unreported(plan),
        limit=sql.Literal(limit),
    )


def last_staged(plan: Plan) -> sql.Composable:
    """Return the last staged key, as the text of a JSON object; nothing where none is staged."""
    names = comma_list(sql.SQL("{}::text, {}").format(sql.Literal(name), column_name(name)) for name in plan.table.key)
    return sql.SQL("SELECT jsonb_build_object({})::text FROM {} ORDER BY {} DESC LIMIT 1").format(
        names, stage_of(plan), NUMBER
    )


def lock_rows(plan: Plan) -> sql.Composable:
    """Lock the rows of the staged keys in key order, as writers do; unstage the keys whose rows are gone."""
    return sql.SQL(
        "WITH locked AS MATERIALIZED (SELECT {keys} FROM {table} AS t WHERE ({keys}) IN (SELECT {key} FROM {stage})"
        " ORDER BY {keys} FOR NO KEY UPDATE)"
        " DELETE FROM {stage} WHERE ({key}) NOT IN (SELECT {key} FROM locked)"
    ).format(
        keys=column_names(plan.table.key, "t"),
        key=column_names(plan.table.key),
        table=qualified(plan.table),
        stage=stage_of(plan),
    )


def record(plan: Plan) -> sql.Composable:
    """Record the events of the staged rows, which are locked; return how many, and (held, waiting) ones, by type."""
    return sql.SQL(
        "WITH transitions AS (SELECT * FROM ({rows}) AS _eventgen_transition WHERE {unreported}){events} SELECT {recorded}, {held}"
    ).format(
        rows=_rows_as_creations(plan, staged=True),
        unreported=_unreported(plan),
        events=events(plan, may_hold=plan.may_hold, mark=APPLIED),
        **counts(plan, may_hold=plan.may_hold),
    )
