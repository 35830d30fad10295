"""Statements about the publishers that the database knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from psycopg2 import sql

from target_eventgen.delivery.decisions import SLOTS
from target_eventgen.delivery.sql.tables import FITS, SLOT
from target_eventgen.delivery.sql.values import texts
from target_eventgen.model.routes import Route

REGISTERED: Final = sql.SQL(
    "SELECT name, number, types, streams, sources, source, coalesce(address, '{}') FROM eventgen.publishers ORDER BY name"
)
"""Returns each publisher's name, and what `registration.Known` has, in its order."""


def register(route: Route, sources: Sequence[str] | None, source: str | None) -> sql.Composable:
    """Make a publisher known, or give it other patterns; return its number.

    Args:
        route: of the publisher.
        sources: LIKE patterns of its sources; None: all.
        source: of the pipeline that it belongs to, where it is new.
    """
    return sql.SQL(
        "INSERT INTO eventgen.publishers (name, types, streams, sources, source, address)"
        " VALUES ({name}, {types}, {streams}, {sources}, {source}, nullif({address}, '{{}}'))"
        " ON CONFLICT (name) DO UPDATE SET types = excluded.types, streams = excluded.streams, sources = excluded.sources,"
        " address = coalesce(excluded.address, publishers.address) RETURNING number"
    ).format(
        name=sql.Literal(route.name),
        types=texts(route.types),
        streams=texts(route.streams),
        sources=texts(sources),
        source=sql.Literal(source),
        address=texts(route.address),
    )


def move(publisher: int) -> sql.Composable:
    """Forget where a publisher's events went, and deliver to it again: the next address configured is its own."""
    return sql.SQL(
        "UPDATE eventgen.publishers SET address = NULL, off_at = NULL, off_reason = NULL, paused_until = NULL WHERE number = {}"
    ).format(sql.Literal(publisher))


def make_slots(publisher: int) -> sql.Composable:
    """Make a new publisher's slots."""
    return sql.SQL("INSERT INTO eventgen.slots (publisher, slot) SELECT {}, generate_series(0, {})").format(
        sql.Literal(publisher), sql.Literal(SLOTS - 1)
    )


def mark_all(publisher: int) -> sql.Composable:
    """Mark every event that a new publisher is to get of those that are there."""
    return sql.SQL(
        "INSERT INTO eventgen.pending (publisher, slot, sequence) SELECT publisher.number, {slot}, event.sequence"
        " FROM eventgen.events AS event JOIN eventgen.publishers AS publisher ON {fits}"
        " WHERE publisher.number = {publisher} ORDER BY 2, 3"
    ).format(slot=SLOT, fits=FITS, publisher=sql.Literal(publisher))


def lock_all_slots(publisher: int) -> sql.Composable:
    """Wait until no relay is at work for a publisher, and let none begin."""
    return sql.SQL("SELECT slot FROM eventgen.slots WHERE publisher = {} ORDER BY slot FOR UPDATE").format(
        sql.Literal(publisher)
    )


def switch_on(publisher: int) -> sql.Composable:
    """Have a publisher delivered to again, at once; no row is touched where it was neither switched off nor paused."""
    return sql.SQL(
        "UPDATE eventgen.publishers SET off_at = NULL, off_reason = NULL, paused_until = NULL"
        " WHERE number = {} AND (off_at IS NOT NULL OR paused_until > clock_timestamp())"
    ).format(sql.Literal(publisher))


def forget(publisher: int) -> sql.Composable:
    """Remove a publisher with all its marks and dead letters."""
    tables = ("pending", "blocked", "waiting", "dead_letters")
    statements = [
        sql.SQL("DELETE FROM eventgen.{} WHERE publisher = {}").format(sql.Identifier(table), sql.Literal(publisher))
        for table in tables
    ]
    last = sql.SQL("DELETE FROM eventgen.publishers WHERE number = {}").format(sql.Literal(publisher))
    return sql.SQL("; ").join([*statements, last])
