"""The relay: carries events from the outbox to publishers, in the order of each key, and marks what was delivered.

Theory of operation. Each publisher has threads of its own, each with its own connections to Postgres and to the
receiver, so that a slow receiver delays no other. A thread takes turns. A turn is one transaction:

1. lock some slots (parts of the keys) of the publisher that have something due, passing over those that another relay
   has locked: two relays never carry one key at the same time, and one that died has let go of its locks;
2. read the oldest events due in them, a bounded number and size, with a snapshot taken after the locks, so that what
   the one before has marked is seen;
3. publish them, call by call, for some seconds at most; each call ends with an outcome for each event;
4. mark the outcomes; commit, which lets go of the slots.

Where it may die. Before 3 nothing has happened. Between 3 and 4, or in the commit, events were published and are not
marked: they are published again, by whoever locks the slot next, with the same ids: at least once, never not at all.
What is marked has been acknowledged. A connection that breaks while the receiver is at work ends like a death; the
receiver may then get the rest of the call from this relay while another one publishes the same events again. So may one
whose machine stood still for so long (`LEASE_SECONDS`) that Postgres ended its transaction. Still the order of each key
holds: each of the two gives the key's events in order, from one at or before the first that was not acknowledged. An
event is seen for the first time only after all before it; what comes late is a repetition, which its id shows.

Turns keep their transactions short, since an open one holds back the server's vacuum. What is pending is found by an
index whose beginning is where the work is; a backlog of any length costs the same a turn, in time and in memory.

New events wake the threads by LISTEN and NOTIFY; a look every `worker.POLL_SECONDS` finds what notifications miss, as
they do with a pooler in transaction mode.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from msgspec.structs import replace

from target_eventgen.delivery import registration
from target_eventgen.delivery.clock import Clock
from target_eventgen.delivery.configured import ConfiguredPublisher
from target_eventgen.delivery.gate import Gate
from target_eventgen.delivery.listener import NotificationListener
from target_eventgen.delivery.observer import Observer
from target_eventgen.delivery.result import Result
from target_eventgen.delivery.session import Session
from target_eventgen.delivery.sql import retention, turns
from target_eventgen.delivery.worker import PublisherWorker, WorkerSettings
from target_eventgen.errors import ConnectionLostError, UnreachableError
from target_eventgen.store.connection import reconnecting

LISTEN_SECONDS: Final = 0.5
"""Seconds that one wait for a notification takes, at most."""

JOIN_SECONDS: Final = 0.1
"""Seconds between two looks at whether the workers have ended."""

TIDY_SECONDS: Final = 60.0
"""Seconds between two deletions of old delivered events."""

TIDY_EVENTS: Final = 5000
"""Events that one statement of `tidy` looks at."""

T = TypeVar("T")

logger = logging.getLogger("target-eventgen")


class Relay:
    """Delivers to a set of publishers, each with workers of its own."""

    def __init__(  # noqa: PLR0913  each is a setting
        self,
        dsn: str,
        publishers: Sequence[ConfiguredPublisher],
        *,
        patience: float = 60,
        reconnect_seconds: float = 60,
        retention_days: float | None = None,
        source: Callable[[str], str] | None = None,
        observer: Observer | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            dsn: where the outbox is.
            publishers: those to deliver to.
            patience: seconds without progress after which a relay that doesn't follow gives a publisher up for now.
            reconnect_seconds: for how long a lost connection to Postgres is reopened.
            retention_days: the age at which delivered events are deleted; None: they are kept.
            source: returns the pipeline's for a database's name; a new publisher gets its events. None: it gets all.
            observer: is called with what happens.
            clock: by which workers wait; None: the machine's.
        """
        self._clock = clock or Clock()
        self._source = source
        self._dsn = dsn
        self._publishers = tuple(publishers)
        self._patience = patience
        self._reconnect_seconds = reconnect_seconds
        self._retention_days = retention_days
        self._observer = observer or Observer()
        self._stopping = threading.Event()
        self._workers: list[PublisherWorker] = []

    def stop(self) -> None:
        """End soon: after the calls that are under way. May be called from a signal handler, before `run` as well."""
        self._stopping.set()
        for worker in self._workers:
            worker.wake.set()

    def run(self, *, follow: bool) -> list[Result]:
        """Deliver until all is delivered, dead, or given up on; or until it is stopped, where it follows.

        Raises:
            ConnectionLostError: Postgres went away and did not come back in time.
            DatabaseError: Postgres refuses something.
            EventgenError: what a publisher can't go on after.
        """
        with contextlib.closing(Session(self._dsn, "relay")) as session:
            routes = [each.route for each in self._publishers]
            numbers = self._reconnecting(session, lambda: registration.register(session, routes, self._source))
            settings = WorkerSettings(
                self._dsn, follow, self._patience, self._reconnect_seconds, self._clock, self._stopping
            )
            gates = {route.name: Gate(route.name, self._clock, route.rate_limit) for route in routes}
            self._workers = [
                PublisherWorker(settings, each, numbers[each.route.name], gates[each.route.name], self._observer)
                for each in self._publishers
                for _ in range(each.route.workers)
            ]
            try:
                for worker in self._workers:
                    with contextlib.suppress(UnreachableError):
                        worker.opened()  # here, since what is wrong with its settings ends all before it begins
                for worker in self._workers:
                    worker.start()
                self._attend(session, follow=follow)
            finally:
                self.stop()
                for worker in self._workers:
                    if worker.ident is not None:
                        worker.join()
                    worker.close()
            for worker in self._workers:
                if worker.error is not None:
                    raise worker.error
            return self._results(session)

    def _results(self, session: Session) -> list[Result]:
        """Return the sums of each publisher's workers, and what is left now that all of them have ended."""
        results: dict[str, Result] = {}
        for worker in self._workers:
            one, earlier = worker.result, results.get(worker.result.name)
            if earlier is not None:
                one = replace(
                    earlier,
                    delivered=earlier.delivered + one.delivered,
                    dead=earlier.dead + one.dead,
                    first_dead=earlier.first_dead or one.first_dead,
                )
            if worker.given_up is not None and not one.left:
                left, last = self._reconnecting(session, functools.partial(_undelivered, session, worker.number))
                one = replace(one, left=left, reason=worker.given_up or last or "no progress")
            results[one.name] = one
        return list(results.values())

    def _reconnecting(self, session: Session, work: Callable[[], T]) -> T:
        return reconnecting(work, self._reconnect_seconds, session.location, self._stopping)

    def _attend(self, session: Session, *, follow: bool) -> None:
        """Wake the workers and tidy up until they have ended, or one of them failed."""
        tidied_at: float | None = None
        with contextlib.closing(NotificationListener(self._dsn)) as listener:
            while any(worker.is_alive() for worker in self._workers) and not self._stopping.is_set():
                if any(worker.error is not None for worker in self._workers):
                    return
                if follow and (tidied_at is None or time.monotonic() - tidied_at >= TIDY_SECONDS):
                    self._tidy(session)
                    tidied_at = time.monotonic()
                if not follow:
                    for worker in self._workers:
                        worker.join(JOIN_SECONDS / len(self._workers))
                elif listener.wait(LISTEN_SECONDS):
                    for worker in self._workers:
                        worker.wake.set()
        if not follow and not self._stopping.is_set():
            self._tidy(session)

    def _tidy(self, session: Session) -> None:
        """Delete delivered events that are old enough; where Postgres refuses, the next time must do."""
        if self._retention_days is None:
            return
        try:
            count = tidy(session, self._retention_days, self._stopping.is_set)
        except ConnectionLostError as error:
            logger.warning("Old events could not be deleted: %s", error)
        else:
            if count:
                logger.info("%d delivered events older than %g days were deleted", count, self._retention_days)


def tidy(session: Session, days: float, stopping: Callable[[], bool]) -> int:
    """Delete the events that are older than so many days and delivered to every publisher; return how many.

    Those that were discarded so long ago are deleted, too.
    """
    with session.transaction() as cursor:
        cursor.execute(retention.tidy_discarded(days))
    after, count, all_old = 0, 0, True
    while all_old and not stopping():
        with session.transaction(turns.LOOK_UPS) as cursor:
            cursor.execute(retention.LOCK_TIDYING)
            cursor.execute(retention.tidy(after, days, TIDY_EVENTS))
            ((last, deleted, all_old),) = cursor.fetchall()
        count += deleted
        after = last
        all_old = bool(all_old)
    return count


def _undelivered(session: Session, number: int) -> tuple[int, str | None]:
    with session.transaction() as cursor:
        cursor.execute(turns.undelivered(number))
        ((count, reason),) = cursor.fetchall()
    return int(count), reason
