"""The relay: carries events from the outbox to publishers, in the order of each key, and marks what was delivered.

Theory of operation. Each publisher has threads of its own, each with its own connections to Postgres and to the
receiver, so that a slow receiver holds back no other. A thread takes turns. A turn is one transaction:

1. lock some slots (parts of the keys) of the publisher that have something due, passing over those that another relay
   has locked: two relays never carry one key at the same time, and one that died has let go of its locks;
2. read the oldest events due in them, a bounded number and size, with a snapshot taken after the locks, so that what
   the one before has marked is seen;
3. publish them, call by call, for some seconds at most; each call ends with an outcome for each event;
4. mark the outcomes; commit, which lets go of the slots.

Where it may die. Before 3 nothing has happened. Between 3 and 4, or in the commit, events were published and are not
marked: they are published again, by whoever locks the slot next, with the same ids: at least once, never not at all.
What is marked has been acknowledged. A connection that breaks while the receiver is at work ends like a death; the
receiver may then get the rest of the call from this relay while another one begins the same events anew. So may one
whose machine stood still for so long (`LEASE_SECONDS`) that Postgres ended its transaction. Still the order of each key
holds: each of the two gives the key's events in order, from one at or before the first that was not acknowledged. An
event is seen for the first time only behind all before it; what comes late is a repetition, which its id tells.

Turns keep their transactions short, since an open one holds back the server's vacuum. What is pending is found by an
index whose beginning is where the work is; a backlog of any length costs the same a turn, in time and in memory.

New events wake the threads by LISTEN and NOTIFY; a look every `POLL_SECONDS` finds what notifications miss, as they do
behind a pooler in transaction mode.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import random
import select
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import psycopg2
from psycopg2 import extensions, sql

from target_eventgen import failpoints, publishers
from target_eventgen.delivery import decisions, deliveries, registration
from target_eventgen.delivery.decisions import Again, Dead, Done, Item, Verdict
from target_eventgen.delivery.session import Session, connect, repeated
from target_eventgen.errors import (
    ConnectionLostError,
    EventgenError,
    UnreachableError,
)
from target_eventgen.model import routes
from target_eventgen.model.recorded import Recorded
from target_eventgen.model.routes import Route
from target_eventgen.model.settings import Settings
from target_eventgen.publishers.cloudevent import CloudEvent, cloud_event
from target_eventgen.publishers.protocol import Publisher
from target_eventgen.store.postgres import place_of

TURN_EVENTS = 2000
"""Events that a turn reads, at most."""

TURN_BYTES = 4_000_000
"""Bytes of data, as Postgres stores them, after which a turn reads no more events."""

TURN_SECONDS = 5.0
"""After which a turn makes no more calls, and marks what it has."""

QUICK_SECONDS = 1.0
"""Up to which a turn is quick."""

POLL_SECONDS = 2.0
"""Between two looks without a notification."""

LONGEST_ABSENCE = 30.0
"""Seconds between two attempts to reach a receiver, at most."""

LISTEN_SECONDS = 0.5
"""For how long one look for notifications takes, at most."""

BUSY_SECONDS = 0.1
"""Between two looks for slots that other relays have locked."""

TIDY_SECONDS = 60.0
"""Between two looks for delivered events that are old enough to go."""

SICK_KEYS = 10
"""Of so many keys every event failed and none was delivered: then it is the receiver that is sick."""

TIDY_EVENTS = 5000
"""Events that one statement of tidying looks at."""

_Mark: TypeAlias = tuple[int, int, int, str | None]
"""That an event is due: its sequence, its slot, its failed attempts, and its subject where there were any."""

T = TypeVar("T")

logger = logging.getLogger("target-eventgen")


class Observer:
    """Is told what a relay does, from several threads; this one listens to nothing."""

    def called(self, publisher: str, seconds: float, events: Sequence[CloudEvent]) -> None:
        """A call of a publisher has ended, well or not, after so many seconds."""

    def settled(self, publisher: str, verdicts: Sequence[Verdict]) -> None:
        """What became of events is marked and committed."""

    def unreachable(self, publisher: str) -> None:
        """A publisher could not reach its receiver."""


@dataclass(frozen=True)
class Delivery:
    """A publisher to deliver to: its route, and how it is opened."""

    route: Route
    open: Callable[[], Publisher]


@dataclass(frozen=True)
class Result:
    """What a relay did for one publisher.

    Attributes:
        name: the publisher's.
        delivered: events.
        dead: events that became dead letters.
        left: events that are undelivered and were given up on for now.
        reason: why.
    """

    name: str
    delivered: int = 0
    dead: int = 0
    left: int = 0
    reason: str = ""

    def __str__(self) -> str:
        """For a log."""
        return f'the publisher "{self.name}": {self.delivered} events delivered, {self.dead} became dead letters'

    @property
    def complaint(self) -> str:
        """What is said where something is left."""
        return f'the publisher "{self.name}": {self.left} events are left for later ({self.reason})'


@dataclass(frozen=True)
class _Turn:
    """What one turn found and did."""

    slots: int = 0
    took: int = 0
    verdicts: Sequence[Verdict] = ()
    moved: int = 0
    lost: UnreachableError | None = None
    blind: bool = False

    @property
    def progress(self) -> bool:
        """Whether there is less to do than before it."""
        return self.moved > 0 or any(not isinstance(verdict, Again) for verdict in self.verdicts)

    @property
    def sick(self) -> bool:
        """Whether the receiver as a whole needs a pause."""
        failed = sum(isinstance(verdict, Again) for verdict in self.verdicts)
        return self.lost is not None or (failed >= SICK_KEYS and failed == len(self.verdicts))


class Relay:
    """Delivers to a set of publishers."""

    def __init__(  # noqa: PLR0913  each is a setting
        self,
        dsn: str,
        wanted: Sequence[Delivery],
        *,
        patience: float = 60,
        reconnect_seconds: float = 60,
        retention_days: float | None = None,
        observer: Observer | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            dsn: where the outbox is.
            wanted: the publishers.
            patience: seconds without progress after which a relay that doesn't follow gives a publisher up for now.
            reconnect_seconds: for how long a lost connection to Postgres is made anew.
            retention_days: the age at which delivered events are deleted; None: they are kept.
            observer: is told what happens.
        """
        self._dsn = dsn
        self._wanted = tuple(wanted)
        self._patience = patience
        self._reconnect_seconds = reconnect_seconds
        self._retention_days = retention_days
        self._observer = observer or Observer()
        self._stopping = threading.Event()
        self._carriers: list[_Carrier] = []

    def stop(self) -> None:
        """End soon: after the calls that are under way. May be called from a signal handler, before `run` as well."""
        self._stopping.set()
        for carrier in self._carriers:
            carrier.wake.set()

    def run(self, *, follow: bool) -> list[Result]:
        """Deliver until all is delivered, dead, or given up on; or until it is stopped, where it follows.

        Raises:
            ConnectionLostError: Postgres went away and did not come back in time.
            DatabaseError: Postgres refuses something.
            EventgenError: what a publisher can't go on after.
        """
        with contextlib.closing(Session(self._dsn, "relay")) as session:
            wanted_routes = [each.route for each in self._wanted]
            numbers = repeated(
                lambda: registration.register(session, wanted_routes), self._reconnect_seconds, self._stopping
            )
            self._carriers = [
                _Carrier(self, wanted, numbers[wanted.route.name], follow=follow)
                for wanted in self._wanted
                for _ in range(wanted.route.workers)
            ]
            try:
                for carrier in self._carriers:
                    with contextlib.suppress(UnreachableError):
                        carrier.opened()  # here, since what is wrong with its settings ends all before it begins
                for carrier in self._carriers:
                    carrier.start()
                self._attend(session, follow=follow)
            finally:
                self.stop()
                for carrier in self._carriers:
                    if carrier.ident is not None:
                        carrier.join()
                    carrier.close()
            for carrier in self._carriers:
                if carrier.error is not None:
                    raise carrier.error
            return self._results(session)

    def _results(self, session: Session) -> list[Result]:
        """Return what the carriers of each publisher did together, and what is left now that all of them have ended."""
        results: dict[str, Result] = {}
        for carrier in self._carriers:
            one, all_ = carrier.result, results.get(carrier.result.name)
            if all_ is not None:
                one = replace(all_, delivered=all_.delivered + one.delivered, dead=all_.dead + one.dead)
            if carrier.given_up is not None and not one.left:
                left, last = repeated(
                    functools.partial(_undelivered, session, carrier.number), self._reconnect_seconds, self._stopping
                )
                one = replace(one, left=left, reason=carrier.given_up or last or "no progress")
            results[one.name] = one
        return list(results.values())

    def _attend(self, session: Session, *, follow: bool) -> None:
        """Wake the carriers and tidy up until they have ended, or one of them failed."""
        tidied_at: float | None = None
        with contextlib.closing(_Ear(self._dsn)) as ear:
            while any(carrier.is_alive() for carrier in self._carriers) and not self._stopping.is_set():
                if any(carrier.error is not None for carrier in self._carriers):
                    return
                if follow and (tidied_at is None or time.monotonic() - tidied_at >= TIDY_SECONDS):
                    self._tidy(session)
                    tidied_at = time.monotonic()
                if not follow:
                    for carrier in self._carriers:
                        carrier.join(BUSY_SECONDS / len(self._carriers))
                elif ear.heard(LISTEN_SECONDS):
                    for carrier in self._carriers:
                        carrier.wake.set()
        if not follow and not self._stopping.is_set():
            self._tidy(session)

    def _tidy(self, session: Session) -> None:
        """Delete delivered events that are old enough; what Postgres says against it waits for the next time."""
        if self._retention_days is None:
            return
        try:
            count = tidy(session, self._retention_days, self._stopping.is_set)
        except ConnectionLostError as error:
            logger.warning("Old events could not be deleted: %s", error)
        else:
            if count:
                logger.info("%d delivered events older than %g days were deleted", count, self._retention_days)


class _Carrier(threading.Thread):
    """One thread that delivers to one publisher."""

    def __init__(self, relay: Relay, wanted: Delivery, number: int, *, follow: bool) -> None:
        super().__init__(name=f"deliver to {wanted.route.name}", daemon=True)
        self.wake = threading.Event()
        self.error: BaseException | None = None
        self.given_up: str | None = None
        """Why it ended though there was something left, as far as it could see."""
        self.number = number
        self.result = Result(wanted.route.name)
        self._route = wanted.route
        self._open = wanted.open
        self._publisher: Publisher | None = None
        self._follow = follow
        self._stopping = relay._stopping  # noqa: SLF001  a part of the relay in all but name
        self._observer = relay._observer  # noqa: SLF001  likewise
        self._patience = relay._patience  # noqa: SLF001  likewise
        self._reconnect_seconds = relay._reconnect_seconds  # noqa: SLF001  likewise
        self._session = Session(relay._dsn, f"relay to {wanted.route.name}")  # noqa: SLF001  likewise
        self._first = random.randrange(decisions.SLOTS)  # noqa: S311  no secret: it only keeps relays out of each other's way
        self._share = decisions.SLOTS
        self._full = False

    def opened(self) -> Publisher:
        """Return the publisher, which may be tried again where its receiver can't be reached."""
        if self._publisher is None:
            self._publisher = self._open()
        return self._publisher

    def run(self) -> None:
        """Deliver until the end; what goes wrong is kept for the thread that waits."""
        try:
            with contextlib.closing(self._session):
                self._carry()
        except BaseException as error:  # noqa: BLE001  whoever joins raises it
            self.error = error

    def close(self) -> None:
        """Let the receiver go, once nothing is delivered any more."""
        if self._publisher is not None:
            self._publisher.close()

    def _carry(self) -> None:
        progress_at = time.monotonic()
        delivered_before = -1
        failures = 0
        while not self._stopping.is_set():
            self.wake.clear()
            turn = self._repeated(self._turn)
            if turn.progress:
                progress_at = time.monotonic()
            if turn.sick:
                failures = 1 if turn.progress else failures + 1
                pause = min(decisions.pause(failures, random.random()), LONGEST_ABSENCE)  # noqa: S311  no secret
                self._tell(turn, failures, pause)
                if self._gives_up(progress_at, pause, str(turn.lost or "")):
                    return
                self._stopping.wait(pause)
                continue
            if turn.took or turn.blind:
                failures = 0
                continue
            pending, soonest, delivered = self._repeated(self._left)
            if delivered != delivered_before:  # others make progress
                delivered_before, progress_at = delivered, time.monotonic()
            if not pending and soonest is None and not self._follow:
                return
            # What is pending, though nothing was free, is with another relay.
            pause = BUSY_SECONDS if pending else POLL_SECONDS if soonest is None else max(0.0, soonest)
            if self._gives_up(progress_at, pause, ""):
                return
            self.wake.wait(min(pause, POLL_SECONDS))

    def _tell(self, turn: _Turn, failures: int, pause: float) -> None:
        said = logger.warning if failures & (failures - 1) == 0 else logger.debug  # ever less often
        if turn.lost is not None:
            said("%s (attempt %d; the next in %.1f seconds)", turn.lost, failures, pause)
        else:
            said(
                'the publisher "%s" failed for every one of %d events; the next attempt comes in %.1f seconds',
                self._route.name,
                len(turn.verdicts),
                pause,
            )

    def _gives_up(self, progress_at: float, pause: float, reason: str) -> bool:
        """Whether what is left is to be left, given that there has been no progress and will be none for a pause."""
        if self._follow or time.monotonic() + pause - progress_at <= self._patience:
            return False
        self.given_up = reason
        return True

    def _left(self) -> tuple[bool, float | None, int]:
        with self._session.transaction() as cursor:
            cursor.execute(deliveries.left(self.number))
            ((pending, soonest, delivered),) = cursor.fetchall()
        return bool(pending), soonest, delivered or 0

    def _repeated(self, work: Callable[[], T]) -> T:
        return repeated(work, self._reconnect_seconds, self._stopping)

    # -- a turn -------------------------------------------------------------------------------------------------------

    def _turn(self) -> _Turn:
        try:
            publisher = self.opened()
        except UnreachableError as error:
            self._observer.unreachable(self._route.name)
            return _Turn(lost=error)
        began, blind = time.monotonic(), self._full  # after a full turn the next slots are likely to have something
        with self._session.transaction(deliveries.LOOK_UPS) as cursor:
            cursor.execute(deliveries.lock_slots(self.number, self._first, self._share, any_=blind))
            slots = [slot for (slot,) in cursor.fetchall()]
            if not slots:
                self._full = False
                return _Turn()
            most = max(TURN_EVENTS, publisher.most)
            cursor.execute(deliveries.due(self.number, slots, most, -(-most // len(slots)) if blind else most))
            marks: dict[int, _Mark] = {mark[0]: mark for mark in cursor}
            items, moved = self._read(cursor, marks)
            took = len(items) + moved
            verdicts, lost = self._publish(publisher, items)
            failpoints.reach(failpoints.AFTER_PUBLISH)
            self._mark(cursor, verdicts)
            failpoints.reach(failpoints.BEFORE_MARKED)
        self._first = (slots[-1] + 1) % decisions.SLOTS
        self._full = len(marks) > took or took * 2 >= most
        self._share = decisions.share(self._share, full=self._full, slow=time.monotonic() - began > QUICK_SECONDS)
        self._observer.settled(self._route.name, verdicts)
        dead = [verdict for verdict in verdicts if isinstance(verdict, Dead)]
        for each in dead[:1]:
            logger.warning(
                'the publisher "%s": %d events became dead letters (%s, after %d attempts: %s); see `target-eventgen dead-letters list`',
                self._route.name,
                len(dead),
                each.item.event.type,
                each.attempts,
                each.reason,
            )
        self.result = replace(
            self.result,
            delivered=self.result.delivered + sum(isinstance(verdict, Done) for verdict in verdicts),
            dead=self.result.dead + len(dead),
        )
        return _Turn(len(slots), took, verdicts, moved, lost, blind)

    def _read(self, cursor: extensions.cursor, marks: Mapping[int, _Mark]) -> tuple[list[Item], int]:
        """Return the events to be published, as many as a turn may have, and how many others were moved out of the way."""
        if not marks:
            return [], 0
        items: list[Item] = []
        behind: list[tuple[int, int, str]] = []
        found = last = 0
        cursor.execute(deliveries.recorded(self.number, marks, TURN_BYTES))
        for row in cursor:
            found, held, last = row[:3]
            _, slot, attempts, _ = marks[last]
            recorded = Recorded(*row[2:])
            if held:
                behind.append((slot, last, recorded.subject))
            else:
                items.append(Item(cloud_event(recorded), last, slot, attempts))
        gone: list[_Mark] = []
        if found < len(marks):
            read = {item.sequence for item in items} | {sequence for _, sequence, _ in behind}
            # Where the turn was full, nothing is known of those behind the last one.
            gone = [mark for mark in marks.values() if mark[0] not in read and (len(read) == found or mark[0] < last)]
        if behind:
            cursor.execute(deliveries.set_aside(self.number, behind))
        if gone:
            logger.warning(
                'the publisher "%s": %d events are not in eventgen.events any more', self._route.name, len(gone)
            )
            cursor.execute(deliveries.unmark(self.number, [(slot, sequence) for sequence, slot, *_ in gone]))
            cursor.execute(deliveries.release(self.number, [subject for *_, subject in gone if subject is not None]))
        return items, len(behind) + len(gone)

    def _publish(self, publisher: Publisher, items: list[Item]) -> tuple[list[Verdict], UnreachableError | None]:
        verdicts: list[Verdict] = []
        stopped: set[str] = set()
        began = time.monotonic()
        while items and not self._stopping.is_set() and (not verdicts or time.monotonic() - began < TURN_SECONDS):
            call, items = decisions.next_call(items, stopped, ordered=publisher.ordered, most=publisher.most)
            if not call:
                break
            given = [item.event for item in call]
            called_at = time.monotonic()
            try:
                outcomes = publisher.publish(given)
            except UnreachableError as error:
                self._observer.unreachable(self._route.name)
                return verdicts, error
            finally:
                self._observer.called(self._route.name, time.monotonic() - called_at, given)
            judged, ended = decisions.judge(
                call,
                outcomes,
                max_attempts=self._route.max_attempts,
                waits=self._route.waits,
                chance=random.random(),  # noqa: S311  no secret
            )
            verdicts += judged
            stopped |= ended
        return verdicts, None

    def _mark(self, cursor: extensions.cursor, verdicts: Sequence[Verdict]) -> None:
        done = [verdict for verdict in verdicts if isinstance(verdict, Done)]
        again = [verdict for verdict in verdicts if isinstance(verdict, Again)]
        dead = [verdict for verdict in verdicts if isinstance(verdict, Dead)]
        fresh = [(each.item.slot, each.item.sequence) for each in verdicts if not each.item.attempts]
        # An event that had failed before was not pending, but held its key.
        passed = [*done, *(() if self._route.waits else dead)]
        freed = [each.item.key for each in passed if each.item.attempts]
        statements = [
            *([deliveries.unmark(self.number, fresh)] if fresh else ()),
            *([deliveries.count(self.number, done)] if done else ()),
            *([deliveries.hold(self.number, again)] if again else ()),
            *([deliveries.bury(self.number, dead)] if dead else ()),
            *([deliveries.hold_for_good(self.number, dead)] if dead and self._route.waits else ()),
            *([deliveries.release(self.number, freed)] if freed else ()),
        ]
        if statements:
            cursor.execute(sql.SQL("; ").join(statements))


def faults(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """Return all that is wrong with the publishers' own settings."""
    found: list[str] = []
    for route in settings.routes:
        given, missing = routes.with_secrets(route, environment, settings.publisher_secrets)
        found += missing or publishers.faults(route.name, route.kind, given)
    return found


def wanted(settings: Settings, environment: Mapping[str, str]) -> list[Delivery]:
    """Return the publishers of a configuration, none of them open yet."""
    found: list[Delivery] = []
    for route in settings.routes:
        given, _ = routes.with_secrets(route, environment, settings.publisher_secrets)
        found.append(Delivery(route, functools.partial(publishers.open_publisher, route.name, route.kind, given)))
    return found


def _undelivered(session: Session, number: int) -> tuple[int, str | None]:
    with session.transaction() as cursor:
        cursor.execute(deliveries.undelivered(number))
        ((count, reason),) = cursor.fetchall()
    return int(count), reason


def tidy(session: Session, days: float, stopping: Callable[[], bool]) -> int:
    """Delete the events that are older than so many days and delivered to every publisher; return how many."""
    after, count, all_old = 0, 0, True
    while all_old and not stopping():
        with session.transaction(deliveries.LOOK_UPS) as cursor:
            cursor.execute(deliveries.LOCK_TIDYING)
            cursor.execute(deliveries.tidy(after, days, TIDY_EVENTS))
            ((last, deleted, all_old),) = cursor.fetchall()
        count += deleted
        after = last
        all_old = bool(all_old)
    return count


class _Ear:
    """Hears notifications of new events; where it can't, the looks that are taken anyway must do."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._place = place_of(dsn)
        self._connection: extensions.connection | None = None
        self._deaf_until = 0.0

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    def heard(self, seconds: float) -> bool:
        """Wait for a notification, so many seconds at most; return whether there may have been one."""
        try:
            if self._connection is None:
                if time.monotonic() < self._deaf_until:
                    time.sleep(seconds)
                    return False
                self._connection = connect(self._dsn, self._place, "target-eventgen relay, listening")
                self._connection.autocommit = True
                with self._connection.cursor() as cursor:
                    cursor.execute(sql.SQL("LISTEN {}").format(sql.Identifier(deliveries.CHANNEL)))
                return True  # what came before can't be heard any more
            if not select.select([self._connection], [], [], seconds)[0]:
                return False
            self._connection.poll()
            heard = bool(self._connection.notifies)
            self._connection.notifies.clear()
        except (psycopg2.Error, EventgenError, OSError, ValueError):
            self.close()
            self._deaf_until = time.monotonic() + POLL_SECONDS
            return False
        return heard
