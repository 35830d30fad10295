"""The statements of a trial: many checkpoints in one transaction that is rolled back in the end.

A checkpoint distinguishes rows that were there from those that it has just claimed by the transaction that wrote them,
or by a negative count (see `transitions.rows_of_others`). In a trial one transaction writes all rows, so each batch
gives its rows a negative count once they are written: to the next one these were there.
"""

from __future__ import annotations

from typing import Final

from psycopg2 import sql

from target_eventgen.model.plan import Plan
from target_eventgen.store.sql.names import ROW_VERSION, column_names, qualified, stage_of

BEGIN: Final = sql.SQL("SELECT coalesce(max(sequence), 0) FROM eventgen.events")
"""Returns a number that the sequences of the trial's events will be above."""


def drop_stage(plan: Plan) -> sql.Composable:
    """Drop the staging table of the batch before, which no commit has dropped."""
    return sql.SQL("DROP TABLE IF EXISTS {}").format(stage_of(plan))


def stage_exists(plan: Plan) -> sql.Composable:
    """Return whether there is a staging table."""
    return sql.SQL("SELECT to_regclass({}) IS NOT NULL").format(sql.Literal(f"pg_temp.{plan.stage}"))


def mark_as_there(plan: Plan) -> sql.Composable:
    """Mark the rows of the staged keys that this transaction has written as rows that were there."""
    return sql.SQL(
        "UPDATE {table} AS t SET {version} = -t.{version} WHERE ({keys}) IN (SELECT {key} FROM {stage})"
        " AND t.xmin = pg_current_xact_id()::xid AND t.{version} > 0"
    ).format(
        table=qualified(plan.table),
        version=ROW_VERSION,
        keys=column_names(plan.table.key, "t"),
        key=column_names(plan.table.key),
        stage=stage_of(plan),
    )


def events_above(number: int) -> sql.Composable:
    """Return (stream, type, events, subject of the first) of this transaction, by stream and type.

    Events that would wait for held ones of their keys are among them.

    Args:
        number: as `BEGIN` returned it.
    """
    return sql.SQL(
        "SELECT stream, type, count(*), (array_agg(subject ORDER BY waits, sequence))[1] FROM"
        " (SELECT stream, type, subject, sequence, false AS waits FROM eventgen.events"
        "  WHERE sequence > {} AND transaction_id = pg_current_xact_id()"
        "  UNION ALL SELECT stream, type, subject, sequence, true FROM eventgen.held_events"
        "  WHERE transaction_id = pg_current_xact_id()) AS said GROUP BY stream, type"
    ).format(sql.Literal(number))
