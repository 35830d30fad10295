"""The queue in Postgres, in the schema tap_restextract: the default.

Theory of operation. A batch of notifications is one transaction: one wait for the disk, however many requests share it.
Numbers are not commit order: a reader that asks for what is greater than the last it saw would skip what commits late.
So writers take an advisory lock together, shared, before they take numbers; a reader takes it alone, for a moment,
before it looks how far numbers go: each of them is committed, or never will be. One statement text holds the whole of a
writer's transaction, so that a receiver that dies in it holds no lock. NOTIFY wakes readers.
"""

from __future__ import annotations

import select
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any, Final

import psycopg2
import psycopg2.extensions

from tap_restextract.errors import QueueError
from tap_restextract.webhooks.notifications import Entry, Notification
from tap_restextract.webhooks.queues.protocol import BATCH

EXISTS: Final = "select to_regclass('tap_restextract.webhooks') is not null and to_regclass('tap_restextract.webhook_queue') is not null"
TABLES: Final = """
select pg_advisory_xact_lock(hashtext('tap_restextract.webhooks'));
create schema if not exists tap_restextract;
create table if not exists tap_restextract.webhook_queue (
    single boolean primary key default true check (single), identity text not null
);
create table if not exists tap_restextract.webhooks (
    sequence bigint generated always as identity, stream text collate "C" not null, source text not null, kind text not null,
    body text not null, digest uuid unique, received_at timestamptz not null default clock_timestamp(),
    primary key (stream, sequence)
);
"""
# Sorted, so that two receivers which store the same deliveries wait for each other in one order.
STORE: Final = """
select pg_advisory_xact_lock_shared(hashtext('tap_restextract.webhooks.numbers'));
insert into tap_restextract.webhooks (stream, source, kind, body, digest)
select stream, source, kind, body, digest
from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::uuid[]) with ordinality
    as batch (stream, source, kind, body, digest, place)
order by digest nulls first, place
on conflict (digest) do nothing;
notify tap_restextract_webhooks;
"""
SETTLED: Final = """
select pg_advisory_xact_lock(hashtext('tap_restextract.webhooks.numbers'));
select last_value from tap_restextract.webhooks_sequence_seq;
"""
READ: Final = """
select sequence, source, kind, body, to_char(received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
from tap_restextract.webhooks where stream = %s and sequence > %s and sequence <= %s order by sequence limit %s
"""
LAST: Final = "select last_value from tap_restextract.webhooks_sequence_seq"


class PostgresQueue:
    """The queue at this address."""

    def __init__(self, url: str, location: str) -> None:
        self._url = url
        self._label = f"the webhook queue {location}"
        self._open_connection: psycopg2.extensions.connection | None = None
        self._listening = False

    @property
    def identity(self) -> str:
        """What STATE names the queue by."""
        return str(self._rows("select identity from tap_restextract.webhook_queue")[0][0])

    def store(self, notifications: Sequence[Notification]) -> None:
        """Store the notifications; they are durable once this returns."""
        self._rows(
            STORE,
            [each.stream for each in notifications],
            [each.source for each in notifications],
            [each.kind for each in notifications],
            [each.body for each in notifications],
            [each.digest for each in notifications],
        )

    def read(self, stream: str, after: str | None, max_entries: int = BATCH) -> Sequence[Entry]:
        """Return the stream's next notifications after a position; None: from the first that is kept."""
        settled = self._rows(SETTLED)[0][0]
        rows = self._rows(READ, stream, int(after or 0), settled, max_entries)
        return [Entry(str(sequence), source, kind, body, at) for sequence, source, kind, body, at in rows]

    def wait(self, after: Mapping[str, str | None], seconds: float) -> None:
        """Return once one of these streams may have more after its position, or after that time."""
        del after
        if not self._listening:
            self._rows("listen tap_restextract_webhooks")
            self._listening = True
            return  # what was stored before it listened made no sound
        connection = self._connection()
        if not connection.notifies and select.select([connection], [], [], seconds)[0]:
            try:
                connection.poll()
            except psycopg2.Error as error:
                raise self._failed(error) from error
        connection.notifies.clear()

    def contains(self, stream: str, position: str) -> bool:
        """Return whether a number of this queue can be that great."""
        del stream
        return position.isdigit() and int(position) <= self._rows(LAST)[0][0]

    def acknowledge(self, stream: str, position: str) -> None:
        """Take the stream's rows up to this number out."""
        self._rows("delete from tap_restextract.webhooks where stream = %s and sequence <= %s", stream, int(position))

    def length(self) -> int:
        """Return how many there are, as Postgres estimates it; exactly, while they are few."""
        query = "select count(*) from (select 1 from tap_restextract.webhooks limit 10000) as few"
        few = int(self._rows(query)[0][0])
        if few < 10_000:
            return few
        counted = self._rows("select reltuples from pg_class where oid = 'tap_restextract.webhooks'::regclass")
        return max(few, int(counted[0][0]))

    def close(self) -> None:
        """Close the connection."""
        if self._open_connection is not None:
            self._open_connection.close()
        self._open_connection, self._listening = None, False

    def _connection(self) -> psycopg2.extensions.connection:
        if self._open_connection is None or self._open_connection.closed:
            self._listening = False
            self._open_connection = self._connect()
        return self._open_connection

    def _connect(self) -> psycopg2.extensions.connection:
        """Return a new connection, with the tables made where they are missing."""
        try:
            with ExitStack() as cleanup:  # closed again where a statement fails
                connection = cleanup.enter_context(
                    closing(
                        psycopg2.connect(
                            self._url,
                            connect_timeout=10,
                            application_name="tap-restextract webhooks",
                            keepalives_idle=30,
                        )
                    )
                )
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute(EXISTS)
                    if cursor.fetchone() != (True,):
                        cursor.execute(TABLES)
                    cursor.execute(
                        "insert into tap_restextract.webhook_queue (identity) values (%s) on conflict do nothing",
                        (uuid.uuid4().hex,),
                    )
                cleanup.pop_all()
        except (psycopg2.Error, UnicodeError) as error:
            raise QueueError(
                f"{self._label} can't be opened ({_fault(error)}); check webhook_queue, its password, that Postgres runs, "
                "and that it may create the schema tap_restextract"
            ) from error
        return connection

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return what the query's last statement gives.

        Raises:
            QueueError: where it failed; the next query connects again.
        """
        connection = self._connection()
        try:
            with connection.cursor() as cursor:
                cursor.execute(query, values)
                return cursor.fetchall() if cursor.description else []
        except (psycopg2.Error, ValueError, UnicodeError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> QueueError:
        self.close()
        return QueueError(
            f"{self._label} failed ({_fault(error)}); see that Postgres runs and has room, then run again"
        )


def _fault(error: Exception) -> str:
    """Return what happened, without Postgres's own words: those of a connection hold its address and user."""
    code = getattr(error, "pgcode", None)
    return f"{type(error).__name__}{f', SQLSTATE {code}' if code else ''}"
