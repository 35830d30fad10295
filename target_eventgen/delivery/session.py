"""A session with the outbox's database, transaction by transaction, and its errors in words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import psycopg2
from psycopg2 import extensions, sql

from target_eventgen.errors import ConnectionLostError
from target_eventgen.store import connection
from target_eventgen.store.refusals import DELIVERY_REMEDIES, read_only, session_refusal

LEASE_SECONDS: Final = 300
"""Seconds after which Postgres ends the transaction of a client that stands still; a publisher's call is shorter."""

_LOCAL_SETTINGS: Final = sql.SQL(
    "SET LOCAL jit = off; SET LOCAL TIME ZONE 'UTC'; SET LOCAL client_min_messages = warning;"
    " SET LOCAL standard_conforming_strings = on; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0;"
    " SET LOCAL idle_in_transaction_session_timeout = {}{}"
)


class Session:
    """A connection to Postgres that is made when it is needed, and again after it broke.

    Attributes:
        location: host, port and database, as messages name them.
    """

    def __init__(self, dsn: str, name: str) -> None:
        """Connect to nothing yet.

        Args:
            dsn: a postgresql:// URL or libpq's `name=value` form.
            name: the session's, as messages and pg_stat_activity show it.

        Raises:
            SettingsError: the dsn is neither.
        """
        self.location = connection.location_of(dsn)
        self._dsn = dsn
        self._name = name
        self._connection: extensions.connection | None = None

    def require_writable(self, cursor: extensions.cursor) -> None:
        """Refuse a server that is read-only from the start; one that becomes so later is waited for, as for a failover.

        Args:
            cursor: of a transaction of this session.

        Raises:
            DatabaseError: the server takes no writes.
        """
        cursor.execute("SELECT current_setting('transaction_read_only') = 'on'")
        if connection.single_value(cursor):
            raise read_only(self._name, self.location, "it refuses to write")

    def close(self) -> None:
        """Close the connection; what was not committed is rolled back."""
        if self._connection is not None:
            connection.close(self._connection)

    @contextlib.contextmanager
    def transaction(self, *settings: sql.Composable) -> Iterator[extensions.cursor]:
        """Commit at the end, roll back on any error.

        Args:
            settings: statements that go before all others.

        Raises:
            ConnectionLostError: there is no connection, or it broke; whether the commit was done is not known then.
            DatabaseError: Postgres refuses something.
        """
        if self._connection is None or self._connection.closed:
            self._connection = connection.connect(self._dsn, f"target-eventgen {self._name}", keepalives=True)
        local = _LOCAL_SETTINGS.format(
            sql.Literal(LEASE_SECONDS * 1000), connection.no_transaction_timeout(self._connection.server_version)
        )
        try:
            with connection.transaction(self._connection, sql.SQL("; ").join([local, *settings])) as cursor:
                yield cursor
        except psycopg2.Error as error:
            closed = bool(self._connection.closed)
            refused = session_refusal(self._name, self.location, error, DELIVERY_REMEDIES, closed=closed)
            if isinstance(refused, ConnectionLostError):
                self.close()
            raise refused from error
