"""A clock that stands still until somebody waits, for a relay and for the database that it works with."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import extensions
from typing_extensions import Self

from target_eventgen.delivery.clock import Clock
from tests.support.queries import execute

if TYPE_CHECKING:
    from types import TracebackType

PREPARE = """
create schema held;
create table held.time (seconds double precision not null);
insert into held.time values (0);
create function held.clock_timestamp() returns timestamptz stable language sql
  as $$ select '2026-01-01Z'::timestamptz + seconds * interval '1 second' from held.time $$
"""
"""A search path that begins with this schema has all statements and defaults read the held clock."""


class HeldClock(Clock):
    """Whoever waits moves the clock on by as much. It is for one thread that waits: a relay with one worker.

    It must be entered before there are tables of ours in the database.
    """

    def __init__(self, url: str) -> None:
        name = extensions.parse_dsn(url)["dbname"]
        execute(url, PREPARE)
        execute(url, f'alter database "{name}" set search_path = held, pg_catalog, public')
        self._seconds = 0.0
        self._told = 0.0
        self._lock = threading.Lock()
        self._connection = psycopg2.connect(url, options="-c synchronous_commit=off")
        self._connection.autocommit = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def now(self) -> float:
        """Seconds since the clock was made."""
        return self._seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Move the clock on."""
        if not event.is_set():
            self.advance(seconds)
        return event.is_set()

    def advance(self, seconds: float) -> None:
        """Move the clock on; the database hears of it where it is more than a hundredth of a second behind."""
        with self._lock:
            self._seconds += seconds
            if self._seconds - self._told >= 0.01:
                with closing(self._connection.cursor()) as cursor:
                    cursor.execute("update held.time set seconds = %s", [self._seconds])
                self._told = self._seconds
