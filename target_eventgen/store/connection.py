"""A connection to the database that streams are stored in: one transaction at a time, repeated where that helps.

Theory of operation. A transaction stands alone: its settings and its staging tables end with it, and it needs nothing of the
session. So any connection can carry the next one, that of a pooler in transaction mode as well as one made after a loss. A
transaction that meets a deadlock or a serialization failure is repeated whole. Where the connection is lost, a new one is
made, again and again for a bounded time, and the transaction is repeated whole; whether it had been committed is for the
caller to find out (see `postgres`). Any other error rolls back and is raised, in words that name the remedy.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import backoff
import psycopg2
from psycopg2 import errors, extensions, sql

from target_eventgen.errors import ConnectionLostError, DatabaseError, EventgenError, SettingsError
from target_eventgen.model.plan import Plan
from target_eventgen.store.refusals import LOST, RETRIED, RetryableError, first_line, refusal

MIN_SERVER_VERSION: Final = 150000
"""libpq's number of the oldest Postgres that is tested."""

CONNECT_SECONDS: Final = 15
"""How long an attempt to connect may take."""

MAX_PAUSE_SECONDS: Final = 5.0
"""Between two attempts to connect again."""

_LOCAL_SETTINGS = sql.SQL(
    # Compiling a checkpoint's statement takes seconds, running it a fraction of one.
    "SET LOCAL jit = off; SET LOCAL work_mem = '64MB'; SET LOCAL TIME ZONE 'UTC'; SET LOCAL datestyle = 'ISO, YMD';"
    " SET LOCAL intervalstyle = 'iso_8601'; SET LOCAL standard_conforming_strings = on;"
    " SET LOCAL client_min_messages = warning; SET LOCAL idle_in_transaction_session_timeout = 0;"
    " SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}"
)

_NO_URL = (
    "database_url is not a Postgres URL: it must look like postgresql://user:password@host:5432/database, "
    "with special characters percent-encoded"
)

T = TypeVar("T")

logger = logging.getLogger("target-eventgen")


class Connection:
    """A connection that is made again where it was lost.

    Attributes:
        location: host, port and database, as messages name them.
        has_committed: set once a checkpoint was confirmed, after which a read-only server is a standby that took over.
    """

    def __init__(
        self, dsn: str, *, lock_timeout: float = 0, statement_timeout: float = 0, reconnect_seconds: float = 0
    ) -> None:
        """Connect.

        Args:
            dsn: a postgresql:// URL or libpq's `name=value` form.
            lock_timeout: seconds that a statement may wait for a lock; 0: as long as it takes.
            statement_timeout: seconds that a statement may take; 0: as long as it takes.
            reconnect_seconds: for how long to keep reconnecting after a loss; 0: a loss is an error at once.

        Raises:
            SettingsError: the dsn is neither.
            ConnectionLostError: nothing answers there, or it refuses.
            DatabaseError: the server is too old.
        """
        self.location = location_of(dsn)
        self.has_committed = False
        self._dsn = dsn
        self._reconnect_seconds = reconnect_seconds
        self._settings = _LOCAL_SETTINGS.format(
            sql.Literal(round(statement_timeout * 1000)), sql.Literal(round(lock_timeout * 1000))
        )
        self._connection = self._connect()
        if self.server_version < MIN_SERVER_VERSION:
            self.close()
            raise DatabaseError(f"Postgres at {self.location} is older than 15; use 15 or newer")

    @property
    def server_version(self) -> int:
        """The server's version, as libpq numbers it."""
        return self._connection.server_version

    @property
    def database(self) -> str:
        """The name of the database."""
        return str(self._connection.info.dbname)

    def close(self) -> None:
        """Close the connection; what was not committed is rolled back."""
        with contextlib.suppress(psycopg2.Error):
            self._connection.close()

    def _connect(self) -> extensions.connection:
        try:
            connection = psycopg2.connect(
                self._dsn, application_name="target-eventgen", connect_timeout=CONNECT_SECONDS, client_encoding="UTF8"
            )
        except psycopg2.OperationalError as error:
            raise ConnectionLostError(
                f"can't connect to Postgres at {self.location}: {first_line(error)}; "
                "check that it runs and that database_url (or host, port, user, password, database) is right"
            ) from error
        # A checkpoint's second statement must see what the first waited for, whatever the role's default is.
        connection.isolation_level = extensions.ISOLATION_LEVEL_READ_COMMITTED
        return connection

    @contextlib.contextmanager
    def transaction(self, doing: str) -> Iterator[extensions.cursor]:
        """Commit at the end, roll back on any error.

        Args:
            doing: what the transaction does, as messages name it.

        Raises:
            RetryableError: a deadlock or a serialization failure; `repeat_until_done` repeats the transaction.
            ConnectionLostError: the connection broke; whether the transaction was committed is not known then.
            DatabaseError: Postgres refuses something.
        """
        with self.translating_errors(doing), self._transaction() as cursor:
            yield cursor

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[extensions.cursor]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(self._settings)
                yield cursor
            self._connection.commit()
        except BaseException:
            if not self._connection.closed:
                with contextlib.suppress(psycopg2.Error):
                    self._connection.rollback()
            raise

    def repeat_until_done(self, work: Callable[[], T]) -> T:
        """Repeat a transaction after deadlocks, serialization failures and lost connections, for a bounded time.

        Args:
            work: the transaction, which may be done more than once.
        """
        lost_at: float | None = None
        pauses: Iterator[float] = iter(())
        while True:
            try:
                if self._connection.closed:
                    self._connection = self._connect()
                return self._repeating(work)
            except ConnectionLostError as error:
                # backoff's own bound counts from the first attempt, which may have been a long transaction.
                if lost_at is None:
                    lost_at, pauses = time.monotonic(), _reconnect_pauses()
                    if self._reconnect_seconds:
                        logger.warning("The connection to Postgres at %s is lost; connecting again", self.location)
                self.close()
                pause = next(pauses)
                if time.monotonic() + pause - lost_at >= self._reconnect_seconds:
                    raise
                logger.debug("%s", error)
                time.sleep(pause)

    def _repeating(self, work: Callable[[], T]) -> T:
        def announce(details: Any) -> None:
            logger.info("Postgres asked for a retry (%s); attempt %d", details["exception"].sqlstate, details["tries"])

        repeated = backoff.on_exception(
            backoff.expo, RetryableError, max_tries=10, max_value=5, factor=0.05, on_backoff=announce, logger=None
        )(work)
        result: T = repeated()
        return result

    @contextlib.contextmanager
    def translating_errors(self, doing: str, plan: Plan | None = None) -> Iterator[None]:
        """Raise Postgres's errors as ours, in words that name stream, cause and remedy, but no value."""
        try:
            yield
        except EventgenError:
            raise
        except RETRIED as error:
            raise RetryableError(
                f"{doing}: Postgres gave up again and again ({first_line(error)}); fewer writers at once may help",
                str(error.pgcode),
            ) from error
        except psycopg2.Error as error:
            if self._is_loss(error):
                raise ConnectionLostError(
                    f"{doing}: the connection to Postgres at {self.location} broke; nothing since the last STATE counts: "
                    "run again once it is up"
                ) from error
            raise refusal(doing, plan, error) from error

    def _is_loss(self, error: psycopg2.Error) -> bool:
        """Return whether the connection is lost, so that another one may carry the transaction."""
        if self._connection.closed or isinstance(error, LOST) or (error.pgcode or "").startswith("08"):
            return True
        # After a failover the old name may lead to a standby for a while.
        return self.has_committed and isinstance(error, errors.ReadOnlySqlTransaction)


def location_of(dsn: str) -> str:
    """Return host, port and database of a dsn, without its password.

    Raises:
        SettingsError: the text is not a dsn.
    """
    try:
        parts = extensions.parse_dsn(dsn)
    except psycopg2.ProgrammingError:
        # libpq's message quotes the dsn, and with it the password.
        raise SettingsError([_NO_URL]) from None
    if not all(port.isdigit() or not port for port in parts.get("port", "").split(",")):
        # An unescaped / or @ in the password makes a host and a port of its pieces, which no message may show.
        raise SettingsError([_NO_URL])
    host = parts.get("host", "localhost")
    return f'{host}:{parts.get("port", "5432")}, database "{parts.get("dbname", parts.get("user", ""))}"'


def _reconnect_pauses() -> Iterator[float]:
    """Yield the seconds to wait before each attempt to connect again, doubled up to `MAX_PAUSE_SECONDS`."""
    pause = 0.05
    while True:
        yield pause
        pause = min(2 * pause, MAX_PAUSE_SECONDS)


def single_value(cursor: extensions.cursor) -> Any:
    """Return the first column of the next row of a result."""
    row = cursor.fetchone()
    assert row is not None
    return row[0]
