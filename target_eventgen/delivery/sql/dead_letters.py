"""Statements about events that are not tried any more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg2 import sql

from target_eventgen.delivery.decisions import Dead
from target_eventgen.delivery.sql.tables import KEY, SLOT
from target_eventgen.delivery.sql.values import rows_of, texts


def move_to_dead_letters(publisher: int, dead: Iterable[Dead]) -> sql.Composable:
    """Add events to the dead letters."""
    rows = [(each.item.sequence, each.attempts, each.reason) for each in dead]
    return sql.SQL(
        "INSERT INTO eventgen.dead_letters"
        " (publisher, sequence, id, type, stream, subject, attempts, reason, source, table_schema, table_name)"
        " SELECT {publisher}, event.sequence, event.id, event.type, event.stream, event.subject, row.attempts, row.reason,"
        " event.source, event.table_schema, event.table_name"
        " FROM {rows} AS row (sequence, attempts, reason) JOIN eventgen.events AS event ON event.sequence = row.sequence"
        " ORDER BY event.sequence"
    ).format(publisher=sql.Literal(publisher), rows=rows_of(rows, "bigint", "integer", "text"))


def letters(publisher: int | None, numbers: Sequence[int] | None, types: Sequence[str] | None) -> sql.Composable:
    """Return dead letters, oldest first.

    Each is (letter, publisher's name, id, type, subject, attempts, reason, when it died, source, table, publisher's
    number, sequence). Source and table are NULL where earlier code didn't say them.

    Args:
        publisher: only of this one.
        numbers: only these.
        types: only of types that fit one of these patterns.
    """
    return sql.SQL(
        "SELECT letter, publisher.name, event.id, event.type, event.subject, event.attempts, event.reason,"
        " to_char(event.died_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), event.source,"
        " quote_ident(event.table_schema) || '.' || quote_ident(event.table_name), publisher.number, event.sequence"
        " FROM eventgen.dead_letters AS event JOIN eventgen.publishers AS publisher ON publisher.number = event.publisher"
        " WHERE ({publisher}::smallint IS NULL OR publisher.number = {publisher})"
        " AND ({numbers} IS NULL OR event.letter = ANY ({numbers})) AND ({types} IS NULL OR event.type LIKE ANY ({types}))"
        " ORDER BY letter"
    ).format(
        publisher=sql.Literal(publisher),
        numbers=sql.SQL("{}::bigint[]").format(sql.Literal(None if numbers is None else list(numbers))),
        types=texts(types),
    )


def take_letters(numbers: Sequence[int]) -> sql.Composable:
    """Remove dead letters; return (publisher's number, sequence, slot, keys by which it may be blocked) of each."""
    return sql.SQL(
        "DELETE FROM eventgen.dead_letters AS event WHERE letter = ANY ({}::bigint[])"
        " RETURNING publisher, sequence, {slot}, ARRAY[subject, {key}]"
    ).format(sql.Literal(list(numbers)), slot=SLOT, key=KEY)
