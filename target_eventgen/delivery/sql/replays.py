"""Statements that make events of the past due again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct
from psycopg2 import sql

from target_eventgen.delivery.sql.tables import CHANNEL, FITS, KEYS, SLOT
from target_eventgen.delivery.sql.values import rows_of, texts


class EventFilter(Struct, frozen=True):
    """A selection of recorded events; None is any.

    Attributes:
        ids: event ids.
        types: LIKE patterns.
        streams: LIKE patterns.
        keys: partition keys, which are keys as text.
        since: the instant from which on they were recorded, as Postgres reads it.
        until: the instant before which they were recorded.
    """

    ids: Sequence[str] | None = None
    types: Sequence[str] | None = None
    streams: Sequence[str] | None = None
    keys: Sequence[str] | None = None
    since: str | None = None
    until: str | None = None


NOTIFY: Final = sql.SQL("SELECT pg_notify({}, '')").format(sql.Literal(CHANNEL))
"""Wakes the relays at the commit."""


def mark_due(publisher: int, rows: Iterable[tuple[int, int]]) -> sql.Composable:
    """Make events, (slot, sequence), due again."""
    return sql.SQL(
        "INSERT INTO eventgen.pending (publisher, slot, sequence) SELECT {}, slot, sequence FROM {} AS row (slot, sequence)"
        " ON CONFLICT DO NOTHING"
    ).format(sql.Literal(publisher), rows_of(rows, "smallint", "bigint"))


def replay(publisher: int, events: EventFilter) -> sql.Composable:
    """Make recorded events due again, where they fit the publisher, and are not undelivered or dead anyway."""
    return sql.SQL(
        "INSERT INTO eventgen.pending (publisher, slot, sequence) SELECT publisher.number, {slot}, event.sequence"
        " FROM eventgen.events AS event JOIN eventgen.publishers AS publisher ON {fits}"
        " WHERE publisher.number = {publisher} AND {chosen}"
        " AND NOT EXISTS (SELECT FROM eventgen.blocked WHERE blocked.publisher = publisher.number"
        "  AND blocked.subject = {keys_blocked} AND blocked.sequence = event.sequence)"
        " AND NOT EXISTS (SELECT FROM eventgen.waiting WHERE waiting.publisher = publisher.number"
        "  AND waiting.subject = {keys_blocked} AND waiting.sequence = event.sequence)"
        " AND NOT EXISTS (SELECT FROM eventgen.dead_letters WHERE dead_letters.publisher = publisher.number"
        "  AND dead_letters.sequence = event.sequence)"
        " ON CONFLICT DO NOTHING"
    ).format(
        slot=SLOT,
        fits=FITS,
        keys_blocked=KEYS,
        publisher=sql.Literal(publisher),
        chosen=_chosen(events),
    )


def fitting(events: EventFilter) -> sql.Composable:
    """Return the ids of recorded events that fit: all of them where ids are asked for, else one at most."""
    return sql.SQL("SELECT event.id FROM eventgen.events AS event WHERE {}{}").format(
        _chosen(events), sql.SQL(" LIMIT 1" if events.ids is None else "")
    )


def _chosen(events: EventFilter) -> sql.Composable:
    return sql.SQL(
        "({ids} IS NULL OR event.id = ANY ({ids})) AND ({types} IS NULL OR event.type LIKE ANY ({types}))"
        " AND ({streams} IS NULL OR event.stream LIKE ANY ({streams}))"
        " AND ({keys} IS NULL OR event.partitionkey = ANY ({keys}))"
        " AND ({since}::timestamptz IS NULL OR event.recorded_at >= {since}::timestamptz)"
        " AND ({until}::timestamptz IS NULL OR event.recorded_at < {until}::timestamptz)"
    ).format(
        ids=texts(events.ids),
        types=texts(events.types),
        streams=texts(events.streams),
        keys=texts(events.keys),
        since=sql.Literal(events.since),
        until=sql.Literal(events.until),
    )
