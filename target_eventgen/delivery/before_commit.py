"""Events published within the transaction that records them: the setting `delivery: before_commit`.

Theory of operation. All of a checkpoint's decisions come first: rows are locked and written, events recorded, deferred
constraints checked. Then its events go to the publishers, and every acknowledgement is awaited. Only then comes the
commit. Whatever fails, the transaction is rolled back whole: no row is changed, STATE stays, and the next run decides
again. After a publication, only the whole is ever repeated.

Ghosts. What was published and then rolled back reported something that was not so: a receiver failed for a later event,
Postgres went away before the commit, the process was killed. If the same transition is decided again, the same event
comes again, with the same id, and was no ghost. If it isn't, since another writer was faster or another version came,
then its id is in `eventgen.events` never: that is how a ghost is recognized.

Other writers of the same rows wait meanwhile. `max_lock_seconds` bounds that from both ends: here no more is published
after so long, and Postgres is set to end a transaction that idles for what is left of it. So the locks go even where a
receiver hangs, or this machine.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812  a class, whatever psycopg2 calls it

from target_eventgen.delivery import decisions
from target_eventgen.delivery.configured import ConfiguredPublisher
from target_eventgen.delivery.decisions import Item
from target_eventgen.delivery.observer import Observer
from target_eventgen.delivery.sql.tables import KEY, PUBLISHED
from target_eventgen.errors import DeliveryError, UnreachableError
from target_eventgen.model.recorded import Recorded
from target_eventgen.model.routes import Route
from target_eventgen.publishers.cloudevent import cloud_event
from target_eventgen.publishers.protocol import Failed, Publisher

PAGE: Final = 1000
"""Events that are read at once."""

BEGIN: Final = sql.SQL("SELECT coalesce(max(sequence), 0) FROM eventgen.events, set_config({}, 'yes', true)").format(
    sql.Literal(PUBLISHED)
)
"""Marks the events of this transaction for no relay; returns a number that their sequences are above.

A sequence's numbers only grow, so what is visible now is smaller than any that is still to come.
"""

_EVENTS: Final = sql.SQL(
    "SELECT sequence, id, source, type, subject, partitionkey, data::text,"
    " to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), traceparent, tracestate, stream, key::text, {key}"
    " FROM eventgen.events AS event"
    " WHERE sequence > {above} AND transaction_id = pg_current_xact_id()"
    " AND ({types} IS NULL OR type LIKE ANY ({types})) AND ({streams} IS NULL OR stream LIKE ANY ({streams}))"
    " AND ({sources} IS NULL OR source LIKE ANY ({sources}))"
    " ORDER BY sequence LIMIT {page}"
)


def events_for(route: Route, above: int) -> sql.Composable:
    """Return the next events of this transaction that go to a publisher, in their order; a page at most."""
    types, streams, sources = (
        sql.SQL("{}::text[]").format(sql.Literal(None if names is None else list(names)))
        for names in (route.types, route.streams, route.sources)
    )
    return _EVENTS.format(
        key=KEY, above=sql.Literal(above), types=types, streams=streams, sources=sources, page=sql.Literal(PAGE)
    )


class Publication:
    """The publishers of a run that publishes before it commits. One thread uses it.

    A `Publication` is what `postgres.Postgres` calls back.
    """

    def __init__(
        self, publishers: Sequence[ConfiguredPublisher], max_lock_seconds: float, observer: Observer | None = None
    ) -> None:
        """Open nothing yet.

        Args:
            publishers: those to publish to.
            max_lock_seconds: how long a transaction may hold its locks.
            observer: is called after each call.
        """
        self._observer = observer or Observer()
        self._publishers = tuple(publishers)
        self._open: dict[str, Publisher] = {}
        self._max_lock_seconds = max_lock_seconds

    def begin(self, cursor: Cursor) -> int:
        """Make sure that this transaction's events are marked for no relay; return what their sequences are above."""
        cursor.execute(BEGIN)
        row = cursor.fetchone()
        assert row is not None
        return int(row[0])

    def publish(self, cursor: Cursor, above: int, began: float) -> None:
        """Publish this transaction's events, and await every acknowledgement.

        Args:
            cursor: of the transaction.
            above: what `begin` returned.
            began: when the transaction began, by the monotonic clock.

        Raises:
            DeliveryError: a receiver did not take an event, can't be reached, or it took too long.
        """
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what would forbid the commit is to forbid it now
        for configured in self._publishers:
            publisher = self._opened(configured)
            last = above
            while items := self._read(cursor, configured.route, last):
                self._publish(cursor, configured.route, publisher, items, began)
                last = items[-1].sequence

    def close(self) -> None:
        """Close the publishers."""
        while self._open:
            _, publisher = self._open.popitem()
            publisher.close()

    def _opened(self, configured: ConfiguredPublisher) -> Publisher:
        name = configured.route.name
        if name not in self._open:
            self._open[name] = configured.open()
        return self._open[name]

    @staticmethod
    def _read(cursor: Cursor, route: Route, above: int) -> list[Item]:
        cursor.execute(events_for(route, above))
        return [Item(cloud_event(Recorded(*row)), row[0], 0) for row in cursor.fetchall()]

    def _publish(self, cursor: Cursor, route: Route, publisher: Publisher, items: list[Item], began: float) -> None:
        while items:
            call, items = decisions.next_call(items, set(), ordered=publisher.ordered, most=publisher.most)
            left = self._left(route, began)
            cursor.execute(
                sql.SQL("SET LOCAL idle_in_transaction_session_timeout = {}").format(
                    sql.Literal(max(1, round(left * 1000)))
                )
            )
            given = [item.event for item in call]
            called_at = time.monotonic()
            try:
                outcomes = publisher.publish(given)
            except UnreachableError as error:
                self._observer.unreachable(route.name)
                raise DeliveryError(f"{error}; {_ROLLED_BACK}") from error
            finally:
                self._observer.called(route.name, time.monotonic() - called_at, given)
            for event, outcome in zip(given, outcomes, strict=True):
                if isinstance(outcome, Failed):
                    raise DeliveryError(
                        f'the publisher "{route.name}" did not take an event of the type "{event.type}" '
                        f"({outcome.reason}); {_ROLLED_BACK}"
                    )
            self._left(route, began)

    def _left(self, route: Route, began: float) -> float:
        left = began + self._max_lock_seconds - time.monotonic()
        if left <= 0:
            raise DeliveryError(
                f'publishing to "{route.name}" would hold the rows\' locks for longer than max_lock_seconds '
                f"({self._max_lock_seconds:g}); {_ROLLED_BACK}. Make checkpoints smaller (batch_size_rows), allow more "
                "seconds, or deliver after the commit (delivery: after_load)"
            )
        return left


_ROLLED_BACK: Final = "nothing since the last STATE is committed, and the next run decides again, with the same ids"
