"""Statements by which a person looks at held events, and decides on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from psycopg2 import sql

from target_eventgen.delivery.sql.values import texts
from target_eventgen.model.guard import DISCARDED, HELD, WAITING

EXIST: Final = sql.SQL("SELECT to_regclass('eventgen.held_events') IS NOT NULL")
"""Returns whether there is a table of held events; a database of earlier code has none."""


class HeldFilter(Struct, frozen=True):
    """A selection of held events; None is any.

    Attributes:
        run: the number of the run that recorded them.
        types: LIKE patterns of their rules' types.
        streams: LIKE patterns.
    """

    run: int | None = None
    types: Sequence[str] | None = None
    streams: Sequence[str] | None = None


def groups(chosen: HeldFilter) -> sql.Composable:
    """Return what is held and what waits, by run, stream and type, oldest first.

    Each is (run, stream, type, number held, number waiting, when the oldest was recorded, the partition key of that
    one).
    """
    return sql.SQL(
        "SELECT run, stream, type, count(*) FILTER (WHERE state = {held}), count(*) FILTER (WHERE state = {waiting}),"
        " to_char(min(recorded_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
        " (array_agg(partitionkey ORDER BY sequence))[1]"
        " FROM eventgen.held_events WHERE state <> {discarded} AND {chosen} GROUP BY run, stream, type ORDER BY min(sequence)"
    ).format(
        held=sql.Literal(HELD), waiting=sql.Literal(WAITING), discarded=sql.Literal(DISCARDED), chosen=_chosen(chosen)
    )


def decide(chosen: HeldFilter, state: str) -> sql.Composable:
    """Give held events another state; the number of rows says how many."""
    return sql.SQL(
        "UPDATE eventgen.held_events SET state = {}, decided_at = clock_timestamp() WHERE state = {} AND {}"
    ).format(sql.Literal(state), sql.Literal(HELD), _chosen(chosen))


NUMBERS: Final = sql.SQL(
    "SELECT count(*) FILTER (WHERE state = {held}), count(*) FILTER (WHERE state = {waiting}),"
    " extract(epoch FROM clock_timestamp() - min(recorded_at) FILTER (WHERE state = {held}))::float8"
    " FROM eventgen.held_events"
).format(held=sql.Literal(HELD), waiting=sql.Literal(WAITING))
"""Returns (number of events held, number of events waiting, seconds since the oldest held one was recorded)."""


def _chosen(chosen: HeldFilter) -> sql.Composable:
    return sql.SQL(
        "({run}::bigint IS NULL OR run = {run}) AND ({types} IS NULL OR type LIKE ANY ({types}))"
        " AND ({streams} IS NULL OR stream LIKE ANY ({streams}))"
    ).format(run=sql.Literal(chosen.run), types=texts(chosen.types), streams=texts(chosen.streams))
