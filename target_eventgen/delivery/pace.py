"""The pace of one publisher: how many events may go now, how long it pauses, what refusals say of a receiver's rate.

Theory of operation. Times are seconds of a clock that only grows; the caller holds it. Three things slow a publisher:

- a rate, in events a second: that of the configuration, or one that was learned. Events are given out of a bucket that
  fills at the rate and holds `BURST_SECONDS` of it, so that no second gets much more than its share;
- a pause that the receiver asked for (429, or 503 with Retry-After), or after a turn in which nothing got through;
- a probe: after a pause because nothing got through, one event at a time goes, until one does.

A receiver that is busy has a rate of its own, which it doesn't tell. It is learned: what it took since the last pause,
over the time until the new one ends, is what it takes. From there the rate grows by `GROWTH` with each event that is
delivered at it, by `GROWTH_A_SECOND` at most, and each refusal lowers it again: about one request in twenty is refused.
"""

from __future__ import annotations

from math import floor
from typing import Final

import msgspec

from target_eventgen.delivery.decisions import MAX_RETRY_AFTER_SECONDS, pause

BURST_SECONDS: Final = 0.1
"""Seconds of a rate that a bucket holds."""

GROWTH: Final = 0.01
GROWTH_A_SECOND: Final = 0.05
"""By which part a learned rate grows: with each event, and in a second at most."""

LOWERED: Final = 0.85
MOST_LOWERED: Final = 0.5
"""To which part of it a refusal lowers a learned rate, at least and at most."""

IDLE_SECONDS: Final = 1.0
"""Seconds without an event after which what was taken before says nothing of a receiver's rate."""

MAX_ABSENCE_SECONDS: Final = 30.0
"""Seconds of a pause that no receiver asked for, at most."""


class Pace(msgspec.Struct, frozen=True):
    """The pace of a publisher at some moment.

    Attributes:
        limit: events a second by the configuration; None: any number.
        learned: events a second that the receiver seems to take; None: nothing is known.
        tokens: events that may go at once, as of `at`.
        at: when the bucket was last looked at.
        paused_until: when the last pause ends.
        failures: pauses since something was delivered.
        probing: whether one event is to go alone.
        since: from when on `taken` is counted.
        taken: events that were delivered since.
        grown_at: when the learned rate last grew.
    """

    limit: float | None = None
    learned: float | None = None
    tokens: float = 1.0
    at: float = 0.0
    paused_until: float = 0.0
    failures: int = 0
    probing: bool = False
    since: float = 0.0
    taken: int = 0
    grown_at: float = 0.0

    @property
    def rate(self) -> float | None:
        """Events a second; None: any number."""
        rates = [rate for rate in (self.limit, self.learned) if rate is not None]
        return min(rates, default=None)


def take(pace: Pace, now: float, wanted: int) -> tuple[Pace, int, float]:
    """Return the pace, how many events may go now, and the seconds to wait where it is none.

    Args:
        pace: of the publisher.
        now: by the clock.
        wanted: how many are there to go, at least 1.
    """
    if now < pace.paused_until:
        return pace, 0, pace.paused_until - now
    rate = pace.rate
    if now - pace.at > max(IDLE_SECONDS, 0.0 if rate is None else 2 / rate):
        pace = msgspec.structs.replace(pace, since=now, taken=0)
    most = 1 if pace.probing else wanted
    if rate is None:
        return msgspec.structs.replace(pace, at=now), most, 0.0
    tokens = min(max(1.0, rate * BURST_SECONDS), pace.tokens + max(0.0, now - pace.at) * rate)
    count = min(most, floor(tokens + 1e-9))  # else what rounding leaves of a token would be waited for in vain
    pace = msgspec.structs.replace(pace, tokens=tokens - count, at=now)
    return pace, count, 0.0 if count else (1.0 - tokens) / rate


def delivered(pace: Pace, now: float, count: int) -> Pace:
    """Return the pace after a call of which so many events were delivered, at least 1."""
    learned = pace.learned
    if learned is not None:
        growth = min(GROWTH * count, GROWTH_A_SECOND * max(0.0, now - pace.grown_at))
        learned = min(learned * (1 + growth), 1e9)
    return msgspec.structs.replace(
        pace,
        learned=learned,
        grown_at=now,
        taken=pace.taken + count,
        failures=0 if now >= pace.paused_until else pace.failures,
        probing=pace.probing and now < pace.paused_until,
    )


def busy(pace: Pace, now: float, asked: float | None, chance: float) -> Pace:
    """Return the pace after the receiver said that it wants no requests now.

    Args:
        pace: of the publisher, the delivered events of the same call counted.
        now: by the clock.
        asked: seconds that the receiver wants to be left alone; None: it doesn't say.
        chance: from 0 to 1, by which a pause is spread that the receiver doesn't choose.
    """
    again = now < pace.paused_until  # several were under way: one refusal, learned from once
    failures = pace.failures + (not again)
    seconds = min(pause(failures, chance), MAX_ABSENCE_SECONDS)
    if asked is not None:
        seconds = min(asked, MAX_RETRY_AFTER_SECONDS)
    until = max(pace.paused_until, now + seconds)
    if again:
        return msgspec.structs.replace(pace, paused_until=until)
    elapsed = max(until - pace.since, 1e-3)
    learned = max(pace.taken, 1) / elapsed
    if pace.rate is not None:
        learned = min(pace.rate * LOWERED, max(learned, pace.rate * MOST_LOWERED))
    return msgspec.structs.replace(
        pace, learned=learned, paused_until=until, failures=failures, since=until, taken=0, tokens=1.0, at=until
    )


def nothing_through(pace: Pace, now: float, chance: float) -> Pace:
    """Return the pace after a turn in which nothing got through."""
    if now < pace.paused_until:
        return pace
    failures = pace.failures + 1
    seconds = min(pause(failures, chance), MAX_ABSENCE_SECONDS)
    return msgspec.structs.replace(pace, failures=failures, paused_until=now + seconds, probing=True)
