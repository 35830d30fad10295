"""Statements that delete old events which every publisher has had, and old ones that were discarded."""

from __future__ import annotations

from typing import Final

from psycopg2 import sql

from target_eventgen.delivery.sql.tables import KEYS, SLOT
from target_eventgen.model.guard import DISCARDED

LOCK_TIDYING: Final = sql.SQL("SELECT pg_advisory_xact_lock(x'6576656e7472'::bigint)")
"""Excludes what marks old events again while others delete them, and the other way round."""


def tidy(after: int, days: float, most: int) -> sql.Composable:
    """Delete, among the next events after a sequence, those that are old and that no publisher needs any more.

    Returns (sequence of the last that was looked at, NULL where there is none; number deleted; whether all were old).
    """
    return sql.SQL(
        "WITH next AS (SELECT sequence, subject, table_schema, table_name, recorded_at < clock_timestamp() - {days} * interval '1 day' AS old"
        "  FROM eventgen.events WHERE sequence > {after} ORDER BY sequence LIMIT {most}"
        "), deleted AS (DELETE FROM eventgen.events USING next AS event WHERE events.sequence = event.sequence AND event.old"
        "  AND NOT EXISTS (SELECT FROM eventgen.publishers AS publisher WHERE"
        "   EXISTS (SELECT FROM eventgen.pending WHERE pending.publisher = publisher.number"
        "    AND pending.slot = {slot} AND pending.sequence = event.sequence)"
        "   OR EXISTS (SELECT FROM eventgen.blocked WHERE blocked.publisher = publisher.number"
        "    AND blocked.subject = {keys} AND blocked.sequence = event.sequence)"
        "   OR EXISTS (SELECT FROM eventgen.waiting WHERE waiting.publisher = publisher.number"
        "    AND waiting.subject = {keys} AND waiting.sequence = event.sequence)"
        "   OR EXISTS (SELECT FROM eventgen.dead_letters WHERE dead_letters.publisher = publisher.number"
        "    AND dead_letters.sequence = event.sequence))"
        "  RETURNING 1"
        ") SELECT max(sequence), (SELECT count(*) FROM deleted), bool_and(old) FROM next"
    ).format(days=sql.Literal(days), after=sql.Literal(after), most=sql.Literal(most), slot=SLOT, keys=KEYS)


def tidy_discarded(days: float) -> sql.Composable:
    """Delete the events that were discarded so many days ago; those that are held, or wait, are as old as they like."""
    return sql.SQL(
        "DELETE FROM eventgen.held_events WHERE state = {} AND decided_at < clock_timestamp() - {} * interval '1 day'"
    ).format(sql.Literal(DISCARDED), sql.Literal(days))
