"""The example's subscriptions: one SQLite file that `api.py` reads and `happen.py` writes.

`updated_at` is UTC text of one width (`2024-03-01T12:00:00.000Z`), so that text order is time order. Writers take
SQLite's write lock before they read the clock, so no transaction commits a time that is older than one already visible:
a cursor on (updated_at, id) can't be overtaken, and the tap needs no `lag` here. Where an API can't promise this,
set one.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ("id", "customer", "plan_id", "quantity", "value", "status", "created_at", "updated_at")
PLANS = ("basic", "team", "business", "enterprise")
STATUSES = ("active", "active", "active", "trialing", "past_due")
SEEDED = 1000
IMPORTED_AT = "2024-03-01T12:00:00.000Z"
"""The time that the rows of one bulk import share: 350 rows, so that every page of 100 is cut inside the tie."""

SCHEMA = """
create table subscriptions (
  id integer primary key, customer text not null, plan_id text not null, quantity integer not null,
  value real not null, status text not null, created_at text not null, updated_at text not null
);
create index subscriptions_in_cursor_order on subscriptions (updated_at, id);
create table happenings (id integer not null, what text not null);
"""


def connect(file: Path) -> sqlite3.Connection:
    """Open a connection in autocommit mode; writers wait up to 30 seconds for each other."""
    connection = sqlite3.connect(file, timeout=30, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def written(moment: datetime) -> str:
    """Return the text of an instant as the API writes it: UTC, milliseconds, `Z`."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def next_time(connection: sqlite3.Connection) -> str:
    """Return the time of a transaction that has the write lock: now, but a millisecond or more after the newest row."""
    newest: str = connection.execute("select coalesce(max(updated_at), '') from subscriptions").fetchone()[0]
    now = written(datetime.now(timezone.utc))
    if now > newest:
        return now
    return written(datetime.fromisoformat(newest.replace("Z", "+00:00")) + timedelta(milliseconds=1))


def seeded_row(number: int) -> tuple[object, ...]:
    """Return the row of id `number`, from 1: the same in every run.

    Three groups: 350 rows with one shared time, 100 rows in ties of four, and the rest with a time of their own. Ids
    are spread over the groups, so that the order of time isn't the order of ids.
    """
    scattered = number * 7919 % SEEDED
    if scattered < 350:
        updated_at = IMPORTED_AT
    elif scattered < 450:
        updated_at = written(datetime(2024, 3, 2, tzinfo=timezone.utc) + timedelta(seconds=(scattered - 350) // 4))
    else:
        updated_at = written(datetime(2024, 1, 1, tzinfo=timezone.utc) + timedelta(hours=3, seconds=7207 * scattered))
    quantity = 1 + scattered % 40
    value = round(240 + quantity * (180 + scattered % 97) + scattered % 100 / 4, 2)
    return (
        number,
        f"customer-{scattered:04d}",
        PLANS[scattered % len(PLANS)],
        quantity,
        value,
        STATUSES[scattered % len(STATUSES)],
        "2023-11-05T08:00:00.000Z",
        updated_at,
    )


def create(file: Path) -> None:
    """Make a fresh file with the seeded rows; readers and one writer may use it at once (WAL)."""
    with closing(connect(file)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.executescript(f"begin; {SCHEMA}")
        rows = (seeded_row(number) for number in range(1, SEEDED + 1))
        connection.executemany("insert into subscriptions values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("commit")
