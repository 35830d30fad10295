"""A connection to the outbox's database, transaction by transaction, and its errors in words."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import psycopg2
from psycopg2 import errors, extensions, sql

from target_eventgen.errors import ConnectionLostError, DatabaseError
from target_eventgen.store.connection import CONNECT_SECONDS, MAX_PAUSE_SECONDS, MIN_SERVER_VERSION, location_of

LEASE_SECONDS = 300
"""Seconds after which Postgres ends the transaction of a client that stands still; a publisher's call is shorter."""

_KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
"""libpq's settings by which a server that vanished without a word is noticed within a minute."""

_RIGHTS = (
    "its user needs SELECT, INSERT, UPDATE and DELETE on the tables of the schema eventgen, which must exist, or which it "
    "must be allowed to make"
)

_REMEDIES = {
    "42501": _RIGHTS,
    "42P01": _RIGHTS,
    "3F000": _RIGHTS,
    "22007": "write instants like 2026-01-31T12:00Z",
    "22008": "write instants like 2026-01-31T12:00Z",
}
"""Remedies by SQLSTATE."""

_LOCAL_SETTINGS = sql.SQL(
    "SET LOCAL jit = off; SET LOCAL TIME ZONE 'UTC'; SET LOCAL client_min_messages = warning;"
    " SET LOCAL standard_conforming_strings = on; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0;"
    " SET LOCAL idle_in_transaction_session_timeout = {}"
)

T = TypeVar("T")

logger = logging.getLogger("target-eventgen")


class Session:
    """A connection to Postgres that is reopened after it broke; its errors name cause and remedy."""

    def __init__(self, dsn: str, what: str) -> None:
        self._dsn = dsn
        self._what = what
        self._address = location_of(dsn)
        self._connection: extensions.connection | None = None

    def close(self) -> None:
        """Close the connection; what was not committed is rolled back."""
        if self._connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def transaction(self, *settings: sql.Composable) -> Iterator[extensions.cursor]:
        """Commit at the end, roll back on any error.

        Args:
            settings: statements that go before all others.

        Raises:
            ConnectionLostError: there is no connection, or it broke; whether the commit was done is not known then.
            DatabaseError: Postgres refuses something.
        """
        try:
            connection = self._connection or self._connected()
            with connection.cursor() as cursor:
                local = _LOCAL_SETTINGS.format(sql.Literal(LEASE_SECONDS * 1000))
                cursor.execute(sql.SQL("; ").join([local, *settings]))
                yield cursor
            connection.commit()
        except BaseException as error:
            lost = self._roll_back(error)
            if not isinstance(error, psycopg2.Error):
                raise
            message = (error.diag.message_primary or str(error).strip() or type(error).__name__).splitlines()[0]
            if lost:
                raise ConnectionLostError(
                    f"the {self._what}: the connection to Postgres at {self._address} broke ({message}); what was not "
                    "committed is as if it had not been, and is to be repeated once the server is up"
                ) from error
            raise DatabaseError(
                f"the {self._what}: Postgres at {self._address} refused it (SQLSTATE {error.pgcode}): {message}; "
                + _REMEDIES.get(error.pgcode or "", "find its words in Postgres's documentation or log")
            ) from error

    def _roll_back(self, error: BaseException) -> bool:
        """End the transaction; return whether the connection is of no use any more, and close it then."""
        connection = self._connection
        # After a failover the old name may lead to a standby for a while.
        lost = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError | errors.ReadOnlySqlTransaction)
        if connection is None:
            return lost
        if not lost and not connection.closed:
            try:
                connection.rollback()
            except psycopg2.Error:
                lost = True
        if lost or connection.closed:
            self.close()
            return True
        return False

    def _connected(self) -> extensions.connection:
        self._connection = connect(self._dsn, self._address, f"target-eventgen {self._what}")
        return self._connection


def repeated(work: Callable[[], T], seconds: float, stopping: threading.Event) -> T:
    """Do something again on a new connection, as often as the connection breaks, for a bounded time.

    Args:
        work: a function that may be called more than once.
        seconds: since the first loss in a row, after which it is given up.
        stopping: ends the repetition.

    Raises:
        ConnectionLostError: the connection did not come back in time.
    """
    lost_at: float | None = None
    pause = 0.05
    while True:
        try:
            return work()
        except ConnectionLostError as error:
            if lost_at is None:
                lost_at = time.monotonic()
                if seconds:
                    logger.warning("%s; connecting again", error)
            if stopping.is_set() or time.monotonic() + pause - lost_at > seconds:
                raise
            stopping.wait(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)


def connect(dsn: str, address: str, name: str) -> extensions.connection:
    """Return a connection whose transactions see, statement by statement, what is committed.

    Raises:
        ConnectionLostError: nothing answers there, or it refuses.
        DatabaseError: it is too old.
    """
    given = extensions.parse_dsn(dsn)
    watched = extensions.make_dsn(dsn, **{key: value for key, value in _KEEPALIVES.items() if key not in given})
    try:
        connection = psycopg2.connect(
            watched, application_name=name, connect_timeout=CONNECT_SECONDS, client_encoding="UTF8"
        )
    except psycopg2.OperationalError as error:
        message = (str(error).strip().splitlines() or ["no answer"])[0]
        raise ConnectionLostError(
            f"can't connect to Postgres at {address}: {message}; "
            "check that it runs and that database_url (or host, port, user, password, database) is right"
        ) from error
    if connection.server_version < MIN_SERVER_VERSION:
        connection.close()
        raise DatabaseError(f"Postgres at {address} is older than 15; use 15 or newer")
    connection.isolation_level = extensions.ISOLATION_LEVEL_READ_COMMITTED
    return connection
