"""Connections to Postgres: how one is made, for how long it is made again, and the one that commits checkpoints.

Theory of operation. A transaction stands alone: its settings and its staging tables end with it, and it needs nothing
of the session. So any connection can carry the next one, that of a pooler in transaction mode as well as one made after
a loss. A transaction that meets a deadlock or a serialization failure is repeated whole. Where the connection is lost,
a new one is made, again and again for a bounded time, and the transaction is repeated whole; whether it had been
committed is for the caller to find out (see `postgres`). Any other error rolls back and is raised, in words that name
the remedy.

Commits, the relay's sessions, its listener and the readers of the outbox are all connected by `connect`; commits and
sessions are repeated by `reconnecting`. Where the database is behind an SSH server, `connect` goes through `tunnel`.
The server of a project's own is looked for with a connection of its own (`embedded.cluster`).
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import psycopg2
from psycopg2 import errors, extensions, sql

from target_eventgen.errors import ConnectionLostError, DatabaseError, EventgenError, SettingsError, first_line
from target_eventgen.model.plan import Plan
from target_eventgen.store import certificates, locks, tunnel
from target_eventgen.store.refusals import LOST, RETRIED, LockTimeoutError, RetryableError, refusal

MIN_SERVER_VERSION: Final = 150000
"""libpq's number of the oldest Postgres that is tested."""

CONNECT_SECONDS: Final = 15
"""How long an attempt to connect may take."""

FIRST_PAUSE_SECONDS: Final = 0.05
MAX_PAUSE_SECONDS: Final = 5.0
"""Before the second attempt, and at most before a later one, each after twice the pause of the one before."""

MAX_ATTEMPTS: Final = 10
"""Attempts at a transaction that Postgres asks to repeat."""

_KEEPALIVES: Final = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
"""libpq's settings by which a server that vanished without a word is noticed within a minute."""

_LOCAL_SETTINGS: Final = sql.SQL(
    # Compiling a checkpoint's statement takes seconds, running it a fraction of one.
    "SET LOCAL jit = off; SET LOCAL work_mem = '64MB'; SET LOCAL TIME ZONE 'UTC'; SET LOCAL datestyle = 'ISO, YMD';"
    " SET LOCAL intervalstyle = 'iso_8601'; SET LOCAL standard_conforming_strings = on; SET LOCAL extra_float_digits = 1;"
    " SET LOCAL client_min_messages = warning; SET LOCAL idle_in_transaction_session_timeout = 0;"
    " SET LOCAL statement_timeout = {}{}; SELECT pg_backend_pid()"
)
_LOCK_TIMEOUT: Final = sql.SQL("; SET LOCAL lock_timeout = {}")

_MIN_TRANSACTION_TIMEOUT_VERSION: Final = 170000
"""libpq's number of the oldest Postgres that has a transaction_timeout."""

_NO_URL: Final = (
    "database_url is not a Postgres URL: it must look like postgresql://user:password@host:5432/database, "
    "with special characters percent-encoded"
)

T = TypeVar("T")

logger = logging.getLogger("target-eventgen")


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


def connect(dsn: str, name: str, *, keepalives: bool = False) -> extensions.connection:
    """Return a connection whose statements see what was committed before each of them.

    Args:
        dsn: a postgresql:// URL or libpq's `name=value` form.
        name: the application's, as pg_stat_activity shows it.
        keepalives: whether a server that vanished is noticed while nothing is asked, unless the dsn says how.

    Raises:
        SettingsError: the dsn is neither.
        ConnectionLostError: nothing answers there, or it refuses.
        DatabaseError: the server is too old, or an SSH server in front of it is not the one of the host key.
    """
    location = location_of(dsn)
    if keepalives:
        given = extensions.parse_dsn(dsn)
        dsn = extensions.make_dsn(dsn, **{key: value for key, value in _KEEPALIVES.items() if key not in given})
    try:
        with certificates.in_files(tunnel.through(dsn)) as complete:
            connection = psycopg2.connect(
                complete, application_name=name, connect_timeout=CONNECT_SECONDS, client_encoding="UTF8"
            )
    except psycopg2.OperationalError as error:
        raise ConnectionLostError(
            f"can't connect to Postgres at {location}: {tunnel.refusal(dsn) or first_line(error)}; "
            "check that it runs and that database_url (or host, port, user, password, database) is right"
        ) from error
    if connection.server_version < MIN_SERVER_VERSION:
        connection.close()
        raise DatabaseError(f"Postgres at {location} is older than 15; use 15 or newer")
    # A transaction's second statement must see what the first waited for, whatever the role's default is.
    connection.isolation_level = extensions.ISOLATION_LEVEL_READ_COMMITTED
    return connection


@contextlib.contextmanager
def transaction(connection: extensions.connection, settings: sql.Composable) -> Iterator[extensions.cursor]:
    """Commit at the end, roll back on any error; close a connection that can't even roll back.

    Args:
        connection: one without a transaction.
        settings: statements that go before all others.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute(settings)
            yield cursor
        connection.commit()
    except BaseException:
        if not connection.closed:
            try:
                connection.rollback()
            except psycopg2.Error:
                close(connection)
        raise


def no_transaction_timeout(server_version: int) -> sql.Composable:
    """Return the statement, after others, that lifts the role's timeout of whole transactions where there is one."""
    has_one = server_version >= _MIN_TRANSACTION_TIMEOUT_VERSION
    return sql.SQL("; SET LOCAL transaction_timeout = 0" if has_one else "")


def close(connection: extensions.connection) -> None:
    """Close a connection, whatever its state; what was not committed is rolled back."""
    with contextlib.suppress(psycopg2.Error):
        connection.close()


def pause_after(failures: int) -> float:
    """Return the seconds to wait after so many failed attempts in a row, one or more."""
    doublings = min(failures - 1, 10)  # enough to reach the most; the number of failures knows no bound
    return min(FIRST_PAUSE_SECONDS * 2.0**doublings, MAX_PAUSE_SECONDS)


def reconnect_pause(failures: int, elapsed: float, reconnect_seconds: float) -> float | None:
    """Return the seconds to wait before the next attempt to connect; None: it is given up.

    Args:
        failures: failed attempts in a row, the loss among them.
        elapsed: seconds since the loss.
        reconnect_seconds: seconds after the loss at which no attempt begins any more.
    """
    pause = pause_after(failures)
    return pause if elapsed + pause < reconnect_seconds else None


def reconnecting(
    work: Callable[[], T], reconnect_seconds: float, location: str, stopping: threading.Event | None = None
) -> T:
    """Do something again as often as the connection is lost, for a bounded time after the first loss in a row.

    Args:
        work: a function that may be called more than once, and makes the connection where it has none.
        reconnect_seconds: for how long; 0: a loss is an error at once.
        location: host, port and database, for the log.
        stopping: ends the waiting, and the repetition.

    Raises:
        ConnectionLostError: the connection did not come back in time.
    """
    stopping = stopping or threading.Event()
    # Counted from the first loss and not from the first attempt, which may have been a long transaction.
    lost_at = 0.0
    failures = 0
    while True:
        try:
            return work()
        except ConnectionLostError as error:
            failures += 1
            now = time.monotonic()
            if failures == 1:
                lost_at = now
                if reconnect_seconds:
                    why = first_line(error.__cause__ or error)
                    logger.warning("The connection to Postgres at %s is lost (%s); connecting again", location, why)
            pause = reconnect_pause(failures, now - lost_at, reconnect_seconds)
            if pause is None or stopping.is_set():
                raise
            logger.debug("%s", error)
        stopping.wait(pause)


class Connection:
    """The connection that commits checkpoints, made again where it was lost.

    Attributes:
        location: host, port and database, as messages name them.
        has_committed: set once a checkpoint was confirmed, after which a read-only server is a standby that took over.
    """

    def __init__(
        self,
        dsn: str,
        *,
        lock_timeout: float | None = None,
        statement_timeout: float = 0,
        reconnect_seconds: float = 0,
    ) -> None:
        """Connect.

        Args:
            dsn: a postgresql:// URL or libpq's `name=value` form.
            lock_timeout: seconds that a statement may wait for a lock; 0: as long as it takes; None: as the role's
                own setting has it.
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
        self._lock_timeout = lock_timeout
        self._statement_timeout = sql.Literal(round(statement_timeout * 1000))
        self._connection = self._connect()

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
        close(self._connection)

    def _connect(self) -> extensions.connection:
        return connect(self._dsn, "target-eventgen")

    @contextlib.contextmanager
    def transaction(self, doing: str, *, lock_timeout: float | None = None) -> Iterator[extensions.cursor]:
        """Commit at the end, roll back on any error.

        Args:
            doing: what the transaction does, as messages name it.
            lock_timeout: seconds that a statement may wait for a lock, in place of the setting's.

        Raises:
            RetryableError: a deadlock or a serialization failure; `repeat_until_done` repeats the transaction.
            ConnectionLostError: the connection broke; whether the transaction was committed is not known then.
            DatabaseError: Postgres refuses something.
        """
        settings = self._local_settings(self._lock_timeout if lock_timeout is None else lock_timeout)
        with self.translating_errors(doing), transaction(self._connection, settings) as cursor:
            pid = single_value(cursor)
            with locks.watched(lambda: connect(self._dsn, "target-eventgen locks"), doing, pid):
                yield cursor

    def _local_settings(self, lock_timeout: float | None) -> sql.Composable:
        more: list[sql.Composable] = []
        if lock_timeout is not None:
            more.append(_LOCK_TIMEOUT.format(sql.Literal(round(lock_timeout * 1000))))
        more.append(no_transaction_timeout(self.server_version))
        return _LOCAL_SETTINGS.format(self._statement_timeout, sql.Composed(more))

    def alter(self, doing: str, work: Callable[[extensions.cursor], T], relation: str | None = None) -> T:
        """Do a transaction that may alter tables, in tries that wait shortly for locks, and return what it does.

        Args:
            doing: what the transaction does, as messages name it.
            work: the transaction, which may be done more than once.
            relation: the quoted name of the table that it is about.

        Raises:
            LockTimeoutError: a lock was not granted within lock_timeout, all tries together.
        """
        limit, began, told, failures = self._lock_timeout, time.monotonic(), locks.TOLD_SECONDS, 0
        while True:
            seconds = min(limit, locks.TRY_SECONDS) if limit else locks.TRY_SECONDS
            try:
                with self.transaction(doing, lock_timeout=seconds) as cursor:
                    return work(cursor)
            except LockTimeoutError:
                failures += 1
                waited = time.monotonic() - began
                with self.transaction(doing) as cursor:
                    if limit is None:
                        cursor.execute(locks.ROLES_TIMEOUT)
                        limit = single_value(cursor)
                    holders = locks.holders_of(cursor, relation)
                if limit and waited >= limit:
                    raise
            if waited >= told:
                locks.tell(doing, waited, holders)
                told = 2 * waited
            time.sleep(min(pause_after(failures), locks.MAX_PAUSE_SECONDS))

    def repeat_until_done(self, work: Callable[[], T]) -> T:
        """Repeat a transaction after deadlocks, serialization failures and lost connections, for a bounded time.

        Args:
            work: the transaction, which may be done more than once.
        """

        def connected() -> T:
            if self._connection.closed:
                self._connection = self._connect()
            try:
                return _repeating(work)
            except ConnectionLostError:
                self.close()
                raise

        return reconnecting(connected, self._reconnect_seconds, self.location)

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


def _repeating(work: Callable[[], T]) -> T:
    """Repeat a transaction as often as Postgres asks for it, for a bounded number of times."""
    attempts = 0
    while True:
        try:
            return work()
        except RetryableError as error:
            attempts += 1
            if attempts == MAX_ATTEMPTS:
                raise
            logger.info("Postgres asked for a retry (%s); attempt %d", error.sqlstate, attempts)
        # Any part of the pause, so that those who collided do so no more.
        time.sleep(random.uniform(0, pause_after(attempts)))  # noqa: S311  no secret


def single_value(cursor: extensions.cursor) -> Any:
    """Return the first column of the next row of a result."""
    row = cursor.fetchone()
    assert row is not None
    return row[0]
