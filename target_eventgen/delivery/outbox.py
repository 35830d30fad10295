"""The outbox `eventgen.events` as its readers see it.

Theory of operation. Sequence numbers are given when an event is written, not when it is committed: a transaction that
commits late adds numbers below ones that were read before. So a reader who follows the outbox never asks for "greater
than the last that I saw". It reads by transaction: each look takes the events of all transactions from where the last
look ended up to the oldest one that still runs (`pg_snapshot_xmin`), for what is below that is final. The events of
one look come in sequence order, which is the order of each key: who writes a key's events holds its row's lock, so two
transactions of one key are never split so that the later one is looked at first.

Its price: an old transaction that still writes, anywhere on the server, holds the newer events back until it ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import psycopg2
from msgspec import Struct

from target_eventgen.model.recorded import Recorded
from target_eventgen.store import connection
from target_eventgen.store.refusals import READER_REMEDIES, session_refusal

_SELECT: Final = """
  select sequence, id, source, type, subject, partitionkey, data::text,
    to_char(time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), traceparent, tracestate
  from eventgen.events
  where (%(types)s::text[] is null or type like any(%(types)s))
    and (%(streams)s::text[] is null or stream like any(%(streams)s))
    and (%(start)s::xid8 is null or transaction_id >= %(start)s::xid8)
    and (%(below)s::xid8 is null or transaction_id < %(below)s::xid8)
"""
_ALL: Final = f"{_SELECT} order by sequence"
_NEWEST: Final = _SELECT.join(("select * from (", " order by sequence desc limit %(limit)s) newest order by sequence"))
_KINDS: Final = "select type, stream, count(*) from eventgen.events group by type, stream order by 3 desc, 1, 2"
_PAGE: Final = 500


class Selection(Struct, frozen=True):
    """A selection of events: None is all.

    Attributes:
        types: LIKE patterns.
        streams: LIKE patterns.
        limit: how many, counted back from the newest of the first look.
    """

    types: Sequence[str] | None = None
    streams: Sequence[str] | None = None
    limit: int | None = None


class Kind(NamedTuple):
    """How many events of a type and stream there are."""

    type: str
    stream: str
    events: int


class Outbox:
    """A reader of the outbox of one database, which never writes.

    Raises:
        SettingsError: the URL is not valid.
        ConnectionLostError: the database can't be reached, or the connection broke.
        DatabaseError: the database refuses to be read.
    """

    def __init__(self, database_url: str) -> None:
        self._location = connection.location_of(database_url)
        self._connection = connection.connect(database_url, "target-eventgen events")
        self._connection.set_session(readonly=True)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def newest(self, selection: Selection) -> Iterator[Recorded]:
        """Yield all committed events, oldest first; the last `selection.limit` of them where that is given."""
        with self._look():
            yield from self._read(selection, start=None, below=None)

    def kinds(self) -> list[Kind]:
        """Return how many events of each type and stream there are, the most first."""
        with self._look():
            if not self._exists():
                return []
            with self._connection.cursor() as cursor:
                cursor.execute(_KINDS)
                return [Kind(*row) for row in cursor.fetchall()]

    def follow(self, selection: Selection) -> Iterator[Recorded | None]:
        """Yield the events in the order in which they become final, and None at the end of each look.

        It never ends by itself: after a None its reader waits as long as it likes, then asks for the next.
        """
        start: str | None = None
        while True:
            with self._look():
                below = self._horizon()
                yield from self._read(selection, start=start, below=below)
            start = below
            yield None

    @contextmanager
    def _look(self) -> Iterator[None]:
        """Open one transaction, ended with the look: a reader that waits must not hold back the server's vacuum."""
        try:
            yield
        except psycopg2.Error as error:
            closed = bool(self._connection.closed)
            raise session_refusal("events", self._location, error, READER_REMEDIES, closed=closed) from error
        finally:
            if not self._connection.closed:
                self._connection.rollback()

    def _horizon(self) -> str:
        """Return the oldest transaction that still runs; all below it are final."""
        with self._connection.cursor() as cursor:
            cursor.execute("select pg_snapshot_xmin(pg_current_snapshot())::text")
            ((horizon,),) = cursor.fetchall()
            return str(horizon)

    def _exists(self) -> bool:
        """Return whether anything has been loaded yet."""
        with self._connection.cursor() as cursor:
            cursor.execute("select to_regclass('eventgen.events') is not null")
            return cursor.fetchall() == [(True,)]

    def _read(self, selection: Selection, *, start: str | None, below: str | None) -> Iterator[Recorded]:
        """Yield the selected events of the transactions from `start` to before `below`, a page at a time."""
        if not self._exists():
            return
        bounds: dict[str, Any] = {"start": start, "below": below, "limit": selection.limit}
        wanted = {"types": _array(selection.types), "streams": _array(selection.streams)}
        with self._connection.cursor("eventgen_events") as cursor:
            cursor.itersize = _PAGE
            cursor.execute(_NEWEST if start is None and selection.limit is not None else _ALL, bounds | wanted)
            for row in cursor:
                yield Recorded(*row)


def _array(names: Sequence[str] | None) -> list[str] | None:
    return list(names) if names else None
