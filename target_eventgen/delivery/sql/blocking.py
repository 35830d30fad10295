"""Statements that block a key after a failure, and unblock it.

The column `subject` of `blocked` and `waiting` holds keys, as `tables.KEY` has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg2 import sql

from target_eventgen.delivery.decisions import Again, Dead
from target_eventgen.delivery.sql.values import rows_of, texts


def block_keys(publisher: int, again: Iterable[Again]) -> sql.Composable:
    """Block the keys of events that are to be tried again, until then."""
    rows = [
        (each.item.slot, each.item.sequence, each.item.key, each.attempts, each.delay, each.reason) for each in again
    ]
    return sql.SQL(
        "INSERT INTO eventgen.blocked (publisher, subject, slot, sequence, attempts, reason, due_at)"
        " SELECT {publisher}, subject, slot, sequence, attempts, reason, clock_timestamp() + delay * interval '1 second'"
        " FROM {rows} AS row (slot, sequence, subject, attempts, delay, reason)"
        " ON CONFLICT (publisher, subject) DO UPDATE SET slot = excluded.slot, sequence = excluded.sequence,"
        " attempts = excluded.attempts, reason = excluded.reason, due_at = excluded.due_at, failed_at = clock_timestamp()"
    ).format(
        publisher=sql.Literal(publisher),
        rows=rows_of(rows, "smallint", "bigint", "text", "integer", "float8", "text"),
    )


def block_keys_for_good(publisher: int, dead: Iterable[Dead]) -> sql.Composable:
    """Block the keys of dead letters until a person decides."""
    rows = [(each.item.slot, each.item.sequence, each.item.key, each.attempts, each.reason) for each in dead]
    return sql.SQL(
        "INSERT INTO eventgen.blocked (publisher, subject, slot, sequence, attempts, reason)"
        " SELECT {publisher}, subject, slot, sequence, attempts, reason"
        " FROM {rows} AS row (slot, sequence, subject, attempts, reason)"
        " ON CONFLICT (publisher, subject) DO UPDATE SET slot = excluded.slot, sequence = excluded.sequence,"
        " attempts = excluded.attempts, reason = excluded.reason, due_at = NULL, failed_at = clock_timestamp()"
    ).format(publisher=sql.Literal(publisher), rows=rows_of(rows, "smallint", "bigint", "text", "integer", "text"))


def unblock_keys(publisher: int, keys: Sequence[str]) -> sql.Composable:
    """Unblock keys: their waiting events are due again."""
    return sql.SQL(
        "DELETE FROM eventgen.blocked WHERE publisher = {publisher} AND subject = ANY ({subjects});"
        " WITH moved AS (DELETE FROM eventgen.waiting WHERE publisher = {publisher} AND subject = ANY ({subjects})"
        " RETURNING slot, sequence)"
        " INSERT INTO eventgen.pending (publisher, slot, sequence) SELECT {publisher}, slot, sequence FROM moved"
    ).format(publisher=sql.Literal(publisher), subjects=texts(keys))


def keys_blocked_by(publisher: int, rows: Iterable[tuple[str, int]]) -> sql.Composable:
    """Return those keys that one of these events, (key, sequence), blocks for good."""
    return sql.SQL(
        "SELECT blocked.subject FROM eventgen.blocked JOIN {rows} AS row (subject, sequence)"
        " ON blocked.subject = row.subject AND blocked.sequence = row.sequence"
        " WHERE blocked.publisher = {publisher} AND blocked.due_at IS NULL"
    ).format(publisher=sql.Literal(publisher), rows=rows_of(rows, "text", "bigint"))
