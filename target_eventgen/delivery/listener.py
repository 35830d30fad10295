"""Notifications of new events, received over a connection of their own."""

from __future__ import annotations

import select
import time
from typing import Final

import psycopg2
from psycopg2 import extensions, sql

from target_eventgen.delivery.sql import tables
from target_eventgen.errors import EventgenError
from target_eventgen.store import connection

RELISTEN_SECONDS: Final = 2.0
"""Seconds after which a lost connection is tried again."""


class NotificationListener:
    """LISTENs for new events; without it (PgBouncer), polling still finds them."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: extensions.connection | None = None
        self._retry_at = 0.0

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            connection.close(self._connection)
            self._connection = None

    def wait(self, seconds: float) -> bool:
        """Wait for a notification, so many seconds at most; return whether there may have been one."""
        try:
            if self._connection is None:
                if time.monotonic() < self._retry_at:
                    time.sleep(seconds)
                    return False
                self._connection = connection.connect(self._dsn, "target-eventgen relay, listening", keepalives=True)
                self._connection.autocommit = True
                with self._connection.cursor() as cursor:
                    cursor.execute(sql.SQL("LISTEN {}").format(sql.Identifier(tables.CHANNEL)))
                return True  # notifications of before are lost
            if not select.select([self._connection], [], [], seconds)[0]:
                return False
            self._connection.poll()
            notified = bool(self._connection.notifies)
            self._connection.notifies.clear()
        except (psycopg2.Error, EventgenError, OSError, ValueError):
            self.close()
            self._retry_at = time.monotonic() + RELISTEN_SECONDS
            return False
        return notified
