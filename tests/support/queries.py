"""What is in Postgres: rows, events of the outbox, waits for locks."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import Any

import psycopg2
import psycopg2.extras


def query(database: str, statement: str) -> list[tuple[Any, ...]]:
    """Run statements in a transaction of their own, in UTC, and return the rows of the last one."""
    with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("set time zone 'UTC'")
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def execute(database: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement outside of any transaction, as `create database` wants it, and return its rows."""
    with closing(psycopg2.connect(database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def rows(database: str, statement: str) -> list[dict[str, Any]]:
    """Return the rows of a query as mappings."""
    with (
        closing(psycopg2.connect(database)) as connection,
        connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor,
    ):
        cursor.execute(statement)
        return [dict(row) for row in cursor]


def events(database: str) -> list[dict[str, Any]]:
    """Return all events, in the order of the outbox."""
    return rows(database, "select * from eventgen.events order by sequence")


def recorded_events(database: str) -> Counter[tuple[str, int]]:
    """Count (type, id) of the events, each of which must have an id of its own."""
    found = events(database)
    assert len({event["id"] for event in found}) == len(found)
    return Counter((event["type"], event["key"]["id"]) for event in found)


def waits_for_a_lock(database: str) -> bool:
    """Return whether a connection of ours to this database waits for a lock."""
    ours = "datname = current_database() and application_name = 'target-eventgen'"
    waiting = f"select count(*) from pg_stat_activity where {ours} and wait_event_type = 'Lock'"
    return query(database, waiting) != [(0,)]


def subscriptions(database: str, table: str = "subscriptions") -> dict[int, dict[str, Any]]:
    """Return the loaded subscriptions by id, in the form of the example's API."""
    columns = "id, customer, plan_id, quantity, value::float8 as value, status"
    times = ", ".join(
        f"""to_char({name} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as {name}"""
        for name in ("created_at", "updated_at")
    )
    loaded = rows(database, f"select {columns}, {times} from {table}")
    found = {row["id"]: row for row in loaded}
    assert len(found) == len(loaded)
    return found
