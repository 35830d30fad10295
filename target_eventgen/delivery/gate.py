"""The gate in front of one publisher, which all its workers of a relay pass before they give it an event.

It holds the publisher's pace and what else its workers share: whether it pauses and why, when it last made progress,
and which keys its receiver refused last, which go after all others the next time. Without that, one event that alone
meets a busy receiver, or an absent one, would be tried first after each pause, and keep all others from being tried.

A pause that the receiver asked for is written into the database, where other relays find it. That nothing gets through
is for each relay to find out.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Sequence
from typing import Final

import msgspec

from target_eventgen.delivery import pace
from target_eventgen.delivery.clock import Clock
from target_eventgen.delivery.decisions import Done, Halt, Item, Judgement
from target_eventgen.delivery.pace import Pace

MAX_REFUSED_KEYS: Final = 10_000
"""Keys that are remembered as refused."""

logger = logging.getLogger("target-eventgen")


class Gate:
    """The gate of one publisher. Any number of threads use it."""

    def __init__(self, name: str, clock: Clock, limit: float | None = None) -> None:
        """Let everything pass at first.

        Args:
            name: the publisher's.
            clock: of the relay.
            limit: events a second; None: any number.
        """
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._pace = Pace(limit=limit)
        self._refused: set[str] = set()
        self._pauses = 0
        self._asked = False  # whether the receiver asked for the present pause
        self.reason = ""
        """Why it pauses or paused last."""
        self.progress_at = clock.now()
        """When an event was last delivered or given up, by the clock."""

    @property
    def probing(self) -> bool:
        """Whether the next event is to find out whether anything gets through."""
        return self._pace.probing

    @property
    def asked(self) -> bool:
        """Whether it pauses because the receiver asked for it."""
        return self._asked and self._clock.now() < self._pace.paused_until

    @property
    def rate(self) -> float | None:
        """Events that pass in a second; None: any number."""
        return self._pace.rate

    def progressed(self) -> None:
        """Take note of progress."""
        self.progress_at = self._clock.now()

    def seconds(self) -> float:
        """Return the seconds until an event may pass."""
        with self._lock:
            _, count, seconds = pace.take(self._pace, self._clock.now(), 1)
        return 0.0 if count else seconds

    def take(self, wanted: int) -> tuple[int, float]:
        """Return how many of the wanted events may pass now, and the seconds to wait where it is none."""
        with self._lock:
            self._pace, count, seconds = pace.take(self._pace, self._clock.now(), wanted)
        return count, seconds

    def give_back(self, count: int) -> None:
        """Take note of events that passed and were not given to the publisher."""
        with self._lock:
            self._pace = msgspec.structs.replace(self._pace, tokens=self._pace.tokens + count)

    def in_turn(self, items: Sequence[Item]) -> list[Item]:
        """Return events with those of refused keys last; each key's keep their order."""
        with self._lock:
            return sorted(items, key=lambda item: item.key in self._refused) if self._refused else list(items)

    def settle(self, judgement: Judgement) -> float:
        """Take note of a call's outcome; return the seconds of the pause that it makes, 0 where it makes none."""
        now, chance = self._clock.now(), random.random()  # noqa: S311  no secret
        delivered = {each.item.key for each in judgement.verdicts if isinstance(each, Done)}
        with self._lock:
            self._refused -= delivered
            self._refused |= judgement.refused
            if len(self._refused) > MAX_REFUSED_KEYS:
                self._refused.clear()
            if delivered:
                count = sum(isinstance(each, Done) for each in judgement.verdicts)
                self._pace = pace.delivered(self._pace, now, count)
            before = self._pace
            if judgement.halt is None:
                return 0.0
            if judgement.halt.cause == "gone":
                return 0.0
            if judgement.halt.cause == "busy":
                self._pace = pace.busy(self._pace, now, judgement.halt.seconds, chance)
            else:
                self._pace = pace.nothing_through(self._pace, now, chance)
            return self._paused(before, judgement.halt, now)

    def unreachable(self, reason: str) -> None:
        """Take note of a receiver that was not reached."""
        now, chance = self._clock.now(), random.random()  # noqa: S311  no secret
        with self._lock:
            before, self._pace = self._pace, pace.nothing_through(self._pace, now, chance)
            self._paused(before, Halt("away", reason), now)

    def heard(self, seconds: float, reason: str) -> None:
        """Take note of a pause that the database knows of."""
        with self._lock:
            self._asked, self.reason = True, reason
            until = max(self._pace.paused_until, self._clock.now() + seconds)
            self._pace = msgspec.structs.replace(self._pace, paused_until=until)

    def lifted(self) -> None:
        """Take note that the database knows of no pause any more: a person has ended it."""
        with self._lock:
            if self._asked:
                self._asked = False
                self._pace = msgspec.structs.replace(self._pace, paused_until=self._clock.now())

    def _paused(self, before: Pace, halt: Halt, now: float) -> float:
        """Log a pause; return how long it is."""
        seconds = self._pace.paused_until - now
        self.reason, self._asked = halt.reason, halt.cause == "busy" or (self._asked and before.paused_until > now)
        if before.paused_until > now:
            return seconds
        if halt.cause == "busy":
            self._pauses += 1
            log = logger.warning if self._pauses & (self._pauses - 1) == 0 else logger.debug  # less often each time
            log(
                'the publisher "%s" pauses for %.1f seconds, and that is no attempt of any event: %s (pause %d); '
                "it goes on at %.3g events a second",
                self._name, seconds, halt.reason, self._pauses, self._pace.rate or 0.0,
            )  # fmt: skip
        else:
            failures = self._pace.failures
            log = logger.warning if failures & (failures - 1) == 0 else logger.debug
            log("%s (attempt %d; the next in %.1f seconds)", self._named(halt.reason), failures, seconds)
        return seconds

    def _named(self, reason: str) -> str:
        return reason if "the publisher " in reason else f'the publisher "{self._name}": nothing gets through: {reason}'
