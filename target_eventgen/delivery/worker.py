"""One thread that delivers to one publisher, turn by turn; `relay` says what a turn is."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from psycopg2 import extensions, sql

from target_eventgen import failpoints
from target_eventgen.delivery import decisions
from target_eventgen.delivery.clock import Clock
from target_eventgen.delivery.configured import ConfiguredPublisher
from target_eventgen.delivery.decisions import Again, Dead, Done, Halt, Item, Verdict
from target_eventgen.delivery.gate import Gate
from target_eventgen.delivery.observer import Observer
from target_eventgen.delivery.result import Result
from target_eventgen.delivery.session import Session
from target_eventgen.delivery.sql import blocking, dead_letters, turns
from target_eventgen.errors import UnreachableError
from target_eventgen.model.recorded import Recorded
from target_eventgen.publishers.cloudevent import CloudEvent, cloud_event
from target_eventgen.publishers.protocol import Outcome, Publisher
from target_eventgen.store.connection import reconnecting

TURN_EVENTS: Final = 2000
"""Events that a turn reads, at most."""

TURN_BYTES: Final = 4_000_000
"""Bytes of data, as Postgres stores them, after which a turn reads no more events."""

TURN_SECONDS: Final = 5.0
"""Seconds after which a turn makes no more calls, and marks the outcomes that it has."""

QUICK_SECONDS: Final = 1.0
"""Seconds up to which a turn is quick."""

POLL_SECONDS: Final = 2.0
"""Seconds between two looks without a notification."""

LOOK_SECONDS: Final = 10.0
"""Seconds between two looks at whether a pause that the receiver asked for was ended by a person."""

MIN_PACED_EVENTS: Final = 100
"""Events that a turn reads, at least, of a publisher that has a rate: so that one key doesn't hide the others."""

BUSY_SECONDS: Final = 0.1
"""Seconds between two looks for slots that other relays have locked."""

_Mark: TypeAlias = tuple[int, int, int, str | None, bool]
"""The mark of a due event: sequence, slot, failed attempts; where it failed, its key, and whether others passed."""

T = TypeVar("T")

logger = logging.getLogger("target-eventgen")


class WorkerSettings(Struct, frozen=True):
    """The settings that the workers of a relay share.

    Attributes:
        dsn: where the outbox is.
        follow: whether a worker goes on once all is delivered.
        patience: seconds without progress after which a worker that doesn't follow gives its publisher up for now.
        reconnect_seconds: for how long a lost connection to Postgres is reopened.
        clock: by which they wait.
        stopping: ends them after the calls that are under way.
    """

    dsn: str
    follow: bool
    patience: float
    reconnect_seconds: float
    clock: Clock
    stopping: threading.Event


class _Turn(Struct, frozen=True):
    """The outcome of one turn.

    Attributes:
        slots: how many were locked.
        handled: events that were published or moved aside.
        verdicts: those on the published events.
        moved: events that were moved aside.
        halted: whether the publisher pauses from now on.
        unchecked: whether the slots were locked without a check that something is due in them.
    """

    slots: int = 0
    handled: int = 0
    verdicts: Sequence[Verdict] = ()
    moved: int = 0
    halted: bool = False
    unchecked: bool = False

    @property
    def progress(self) -> bool:
        """Whether less is left to do than before the turn."""
        return self.moved > 0 or any(not isinstance(verdict, Again) for verdict in self.verdicts)


class _Remaining(Struct, frozen=True):
    """What remains to be done for a publisher.

    Attributes:
        pending: whether something is due.
        soonest: seconds until the first blocked event is due; None: none is blocked.
        delivered: events so far, by any relay.
        paused: seconds for which it pauses; None: it doesn't.
        reason: why.
        off: why it is switched off; None: it isn't.
    """

    pending: bool
    soonest: float | None
    delivered: int
    paused: float | None
    reason: str
    off: str | None


def _item(recorded: Recorded, slot: int, attempts: int, passed: bool, unplaced: AbstractSet[str]) -> Item:  # noqa: FBT001
    """Return an event that is due; it keeps the order of its subject where one beside it may be of any table."""
    if not attempts and recorded.subject in unplaced:
        recorded = msgspec.structs.replace(recorded, order_key=recorded.subject)
    return Item(cloud_event(recorded), recorded.sequence, slot, attempts, passed)


class PublisherWorker(threading.Thread):
    """A thread that delivers to one publisher."""

    def __init__(
        self,
        settings: WorkerSettings,
        publisher: ConfiguredPublisher,
        number: int,
        gate: Gate,
        observer: Observer,
    ) -> None:
        """Connect to nothing yet.

        Args:
            settings: those of the relay's workers.
            publisher: the publisher.
            number: its number in the database.
            gate: of the publisher, which its workers share.
            observer: is called with what happens.
        """
        super().__init__(name=f"deliver to {publisher.route.name}", daemon=True)
        self.wake = threading.Event()
        self.error: BaseException | None = None
        self.given_up: str | None = None
        """Why the worker ended although events were left; None where none were."""
        self.number = number
        self.result = Result(publisher.route.name)
        self._settings = settings
        self._route = publisher.route
        self._open = publisher.open
        self._publisher: Publisher | None = None
        self._gate = gate
        self._clock = settings.clock
        self._stopping = settings.stopping
        self._observer = observer
        self._session = Session(settings.dsn, f"relay to {publisher.route.name}")
        self._first = random.randrange(decisions.SLOTS)  # noqa: S311  no secret: it only keeps relays out of each other's way
        self._share = decisions.SLOTS
        self._full = False

    def opened(self) -> Publisher:
        """Return the publisher, opened; may be called again where the receiver could not be reached."""
        if self._publisher is None:
            self._publisher = self._open()
        return self._publisher

    def run(self) -> None:
        """Deliver until the end; keep an error for the thread that joins this one."""
        try:
            with contextlib.closing(self._session):
                self._deliver()
        except BaseException as error:  # noqa: BLE001  the thread that joins raises it
            self.error = error

    def close(self) -> None:
        """Close the publisher, once nothing is delivered any more."""
        if self._publisher is not None:
            self._publisher.close()

    def _deliver(self) -> None:
        delivered_before = -1
        while not self._stopping.is_set():
            self.wake.clear()
            if (seconds := self._gate.seconds()) > 0:
                if self._gives_up(seconds, self._gate.reason):
                    return
                self._rest(seconds)
                continue
            turn = self._repeated(self._turn)
            if turn.progress:
                self._gate.progressed()
            if turn.halted or turn.handled or turn.unchecked:
                continue
            left = self._repeated(self._remaining)
            if left.delivered != delivered_before:  # other relays make progress
                delivered_before = left.delivered
                self._gate.progressed()
            if not left.pending and left.soonest is None and not self._settings.follow:
                return
            if left.off is not None:
                if not self._settings.follow:
                    self.given_up = decisions.off(self._route.name, left.off)
                    return
                self._clock.wait(self.wake, POLL_SECONDS)
                continue
            if left.paused is not None:
                self._gate.heard(left.paused, left.reason)
                continue
            # What is pending, though nothing was free, is with another relay.
            pause = BUSY_SECONDS if left.pending else POLL_SECONDS if left.soonest is None else max(0.0, left.soonest)
            if self._gives_up(pause, ""):
                return
            self._clock.wait(self.wake, min(pause, POLL_SECONDS))

    def _rest(self, seconds: float) -> None:
        """Wait until events may pass again; look now and then whether a person has ended a long pause."""
        asked = self._gate.asked
        self._clock.wait(self._stopping, min(seconds, LOOK_SECONDS) if asked else seconds)
        if asked and seconds > LOOK_SECONDS and self._repeated(self._remaining).paused is None:
            self._gate.lifted()

    def _gives_up(self, pause: float, reason: str) -> bool:
        """Return whether to leave the rest for later: no progress for too long, the coming pause included."""
        if self._settings.follow or self._clock.now() + pause - self._gate.progress_at <= self._settings.patience:
            return False
        self.given_up = reason
        return True

    def _remaining(self) -> _Remaining:
        with self._session.transaction() as cursor:
            cursor.execute(turns.remaining(self.number))
            ((pending, soonest, delivered, paused, reason, off),) = cursor.fetchall()
        return _Remaining(bool(pending), soonest, delivered or 0, paused, reason or "", off)

    def _repeated(self, work: Callable[[], T]) -> T:
        return reconnecting(work, self._settings.reconnect_seconds, self._session.location, self._stopping)

    def _turn(self) -> _Turn:
        try:
            publisher = self.opened()
        except UnreachableError as error:
            self._observer.unreachable(self._route.name)
            self._gate.unreachable(str(error))
            return _Turn(halted=True)
        began, unchecked = (
            self._clock.now(),
            self._full,
        )  # after a full turn the next slots are likely to have something
        with self._session.transaction(turns.LOOK_UPS) as cursor:
            cursor.execute(turns.lock_slots(self.number, self._first, self._share, any_=unchecked))
            slots = [slot for (slot,) in cursor.fetchall()]
            if not slots:
                self._full = False
                return _Turn()
            most = self._most(publisher)
            cursor.execute(turns.due(self.number, slots, most, -(-most // len(slots)) if unchecked else most))
            marks: dict[int, _Mark] = {mark[0]: mark for mark in cursor}
            items, moved = self._read(cursor, marks)
            handled = len(items) + moved
            verdicts, halt = self._publish(publisher, items)
            if items:
                failpoints.reach(failpoints.AFTER_PUBLISH)
            self._mark(cursor, verdicts)
            if halt is not None and halt.cause == "busy":
                cursor.execute(turns.pause(self.number, halt.seconds or 0.0, halt.reason))
            if halt is not None and halt.cause == "gone":
                cursor.execute(turns.switch_off(self.number, halt.reason))
            if items:
                failpoints.reach(failpoints.BEFORE_MARKED)
        self._first = (slots[-1] + 1) % decisions.SLOTS
        self._full = len(marks) > handled or handled * 2 >= most
        self._share = decisions.share(self._share, full=self._full, slow=self._clock.now() - began > QUICK_SECONDS)
        self._observer.settled(self._route.name, verdicts)
        if halt is not None and halt.cause == "gone":
            logger.error("%s", decisions.off(self._route.name, halt.reason))
        dead = [verdict for verdict in verdicts if isinstance(verdict, Dead)]
        first = self.result.first_dead
        for each in dead[:1]:
            first = first or f"the key {each.item.event.subject}: {each.reason}"
            logger.warning(
                'the publisher "%s": %d events became dead letters (%s of the key %s, after %d attempts: %s); see `target-eventgen dead-letters list`',
                self._route.name,
                len(dead),
                each.item.event.type,
                each.item.event.subject,
                each.attempts,
                each.reason,
            )
        self.result = replace(
            self.result,
            delivered=self.result.delivered + sum(isinstance(verdict, Done) for verdict in verdicts),
            dead=self.result.dead + len(dead),
            first_dead=first,
        )
        return _Turn(len(slots), handled, verdicts, moved, halt is not None, unchecked)

    def _read(self, cursor: extensions.cursor, marks: Mapping[int, _Mark]) -> tuple[list[Item], int]:
        """Return the events to be published, as many as a turn may have, and how many others were moved aside."""
        if not marks:
            return [], 0
        read: list[tuple[Recorded, int, int, bool]] = []
        blocked: list[tuple[int, int, str]] = []
        existing = last = 0
        unplaced: set[str] = set()  # subjects of events that may be of any table
        cursor.execute(turns.recorded(self.number, marks, TURN_BYTES))
        for row in cursor:
            existing, blocked_by, last = row[:3]
            _, slot, attempts, key, passed = marks[last]
            if blocked_by is not None:
                blocked.append((slot, last, blocked_by))
                continue
            recorded = Recorded(*row[2:])
            if key is not None:  # it goes on to block what it blocked
                recorded = msgspec.structs.replace(recorded, order_key=key)
            if recorded.order_key == recorded.subject:
                unplaced.add(recorded.subject)
            read.append((recorded, slot, attempts, passed))
        items = [_item(*each, unplaced) for each in read]
        missing: list[_Mark] = []
        if existing < len(marks):
            found = {item.sequence for item in items} | {sequence for _, sequence, _ in blocked}
            # Where the turn was full, nothing is known of those after the last one.
            missing = [
                mark for mark in marks.values() if mark[0] not in found and (len(found) == existing or mark[0] < last)
            ]
        if blocked:
            cursor.execute(turns.set_aside(self.number, blocked))
        if missing:
            logger.warning(
                'the publisher "%s": %d events are not in eventgen.events any more', self._route.name, len(missing)
            )
            cursor.execute(turns.unmark(self.number, [(slot, sequence) for sequence, slot, *_ in missing]))
            cursor.execute(blocking.unblock_keys(self.number, [key for *_, key, _ in missing if key is not None]))
        return items, len(blocked) + len(missing)

    def _most(self, publisher: Publisher) -> int:
        """Return how many events a turn may have: no more than the publisher's rate lets pass in its time."""
        most = max(TURN_EVENTS, publisher.most)
        return (
            most if self._gate.rate is None else min(most, max(MIN_PACED_EVENTS, int(self._gate.rate * TURN_SECONDS)))
        )

    def _publish(self, publisher: Publisher, items: Sequence[Item]) -> tuple[list[Verdict], Halt | None]:
        """Publish events, call by call, as fast as the gate lets them; return the verdicts, and why it ended early."""
        verdicts: list[Verdict] = []
        stopped: set[str] = set()
        left = self._gate.in_turn(items)
        ends = self._clock.now() + TURN_SECONDS
        while left and not self._stopping.is_set() and (not verdicts or self._clock.now() < ends):
            count, seconds = self._gate.take(min(len(left), publisher.most))
            if not count:
                if self._clock.now() + seconds >= ends:
                    break
                self._clock.wait(self._stopping, seconds)
                continue
            call, left = decisions.next_call(left, stopped, ordered=publisher.ordered, most=count)
            self._gate.give_back(count - len(call))
            if not call:
                break
            probing = self._gate.probing
            try:
                outcomes = self._called(publisher, [item.event for item in call])
            except UnreachableError as error:
                self._observer.unreachable(self._route.name)
                self._gate.unreachable(str(error))
                return verdicts, Halt("away", str(error))
            judgement = decisions.judge(
                call,
                outcomes,
                max_attempts=self._route.max_attempts,
                delays=self._route.delays,
                waits=self._route.waits,
                chance=random.random(),  # noqa: S311  no secret
                through=any(isinstance(verdict, Done) for verdict in verdicts),
                probing=probing,
            )
            verdicts += judgement.verdicts
            stopped |= judgement.stopped
            self._gate.give_back(judgement.unsent)
            seconds = self._gate.settle(judgement)
            if judgement.halt is not None:
                return verdicts, msgspec.structs.replace(judgement.halt, seconds=seconds)
        return verdicts, None

    def _called(self, publisher: Publisher, events: Sequence[CloudEvent]) -> Sequence[Outcome]:
        called_at = time.monotonic()
        try:
            return publisher.publish(events)
        finally:
            self._observer.called(self._route.name, time.monotonic() - called_at, events)

    def _mark(self, cursor: extensions.cursor, verdicts: Sequence[Verdict]) -> None:
        done = [verdict for verdict in verdicts if isinstance(verdict, Done)]
        again = [verdict for verdict in verdicts if isinstance(verdict, Again)]
        dead = [verdict for verdict in verdicts if isinstance(verdict, Dead)]
        fresh = [(each.item.slot, each.item.sequence) for each in verdicts if not each.item.attempts]
        # An event that had failed before was not pending, but blocked its key.
        passed = [*done, *(() if self._route.waits else dead)]
        unblocked = [each.item.key for each in passed if each.item.attempts]
        statements = [
            *([turns.unmark(self.number, fresh)] if fresh else ()),
            *([turns.count_delivered(self.number, done)] if done else ()),
            *([blocking.block_keys(self.number, again)] if again else ()),
            *([dead_letters.move_to_dead_letters(self.number, dead)] if dead else ()),
            *([blocking.block_keys_for_good(self.number, dead)] if dead and self._route.waits else ()),
            *([blocking.unblock_keys(self.number, unblocked)] if unblocked else ()),
        ]
        if statements:
            cursor.execute(sql.SQL("; ").join(statements))
