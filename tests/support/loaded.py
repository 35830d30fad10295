"""What a target left in Postgres."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import Any

import psycopg2
import psycopg2.extras


def query(database: str, text: str) -> list[dict[str, Any]]:
    """The rows of a query, as mappings."""
    with (
        closing(psycopg2.connect(database)) as connection,
        connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor,
    ):
        cursor.execute(text)
        return [dict(row) for row in cursor]


def execute(database: str, statements: str) -> None:
    """Statements in a transaction of their own."""
    with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statements)


def events(database: str) -> list[dict[str, Any]]:
    """All events, in the order of the outbox."""
    return query(database, "select * from eventgen.events order by sequence")


def told_events(database: str) -> Counter[tuple[str, int]]:
    """(type, id) of each event, with how often it was told; each event's id is unique."""
    found = events(database)
    assert len({event["id"] for event in found}) == len(found)
    return Counter((event["type"], event["key"]["id"]) for event in found)


def subscriptions(database: str, table: str = "subscriptions") -> dict[int, dict[str, Any]]:
    """The loaded subscriptions by id, in the API's own form."""
    columns = "id, customer, plan_id, quantity, value::float8 as value, status"
    times = ", ".join(
        f"""to_char({name} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as {name}"""
        for name in ("created_at", "updated_at")
    )
    rows = query(database, f"select {columns}, {times} from {table}")
    found = {row["id"]: row for row in rows}
    assert len(found) == len(rows)
    return found
