"""The relay's decisions: which events one call may have, the verdict on each, and how long to wait.

The order of a key. An event is given to a publisher only where all earlier ones of its key have been delivered, or
are given before it in the same call to a publisher that stops at a failure (`ordered`). Of an event that failed, the
key's later ones are left where they are: they are not tried, and that counts as nothing.

An attempt is a failure that may be the event's fault. Where nothing of a publisher gets through, a failure says
something of the receiver: the event is left as it is, and the publisher pauses. Whether anything got through is asked
of the turn and, of an event that failed before, of the time since. So an outage of any length costs an event one or two
attempts at its beginning and no more, while one event that alone fails runs out of attempts as soon as others pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Literal, TypeAlias

import msgspec

from target_eventgen.publishers.cloudevent import CloudEvent
from target_eventgen.publishers.protocol import Delivered, Failed, Outcome

SLOTS: Final = 64
"""Number of parts in which keys are shared out among relays."""

MIN_QUICK_SLOTS: Final = 8
"""Slots that a turn locks, at least, where turns are quick."""

FIRST_PAUSE_SECONDS: Final = 1.0
MAX_PAUSE_SECONDS: Final = 300.0
"""Seconds between attempts, at first and at most."""

MAX_RETRY_AFTER_SECONDS: Final = 30 * 86400.0
"""Seconds for which a receiver may put an event off, at most."""

MAX_REASON_CHARACTERS: Final = 500
"""Characters of a reason that are stored."""

FAILING_KEYS: Final = 10
"""Number of keys in one call, all of which failed, that make the receiver count as failing, whatever it answers."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """An event that is due for one publisher.

    Attributes:
        event: as its receivers get it.
        sequence: its number.
        slot: that of its key.
        attempts: how many have failed.
        passed: whether another event of the publisher was delivered since this one failed.
    """

    event: CloudEvent
    sequence: int
    slot: int
    attempts: int = 0
    passed: bool = False

    @property
    def key(self) -> str:
        """The event's key, by which order is kept."""
        return self.event.order_key


class Again(msgspec.Struct, frozen=True, gc=False):
    """An event that is to be tried once more, `delay` seconds from now."""

    item: Item
    attempts: int
    delay: float
    reason: str


class Dead(msgspec.Struct, frozen=True, gc=False):
    """An event that is not tried any more."""

    item: Item
    attempts: int
    reason: str


class Done(msgspec.Struct, frozen=True, gc=False):
    """An event that was delivered."""

    item: Item


Verdict: TypeAlias = Done | Again | Dead


URGENCY: Final[Mapping[str, int]] = {"away": 0, "busy": 1, "gone": 2}
"""The causes for which no more is given to a publisher, by how long that lasts."""


class Halt(msgspec.Struct, frozen=True, gc=False):
    """Why no more is to be given to a publisher.

    Attributes:
        cause: away, busy or gone: nothing gets through; the receiver wants no requests for now; none any more.
        reason: in words.
        seconds: for which it wants none; None: it doesn't say.
    """

    cause: Literal["away", "busy", "gone"]
    reason: str
    seconds: float | None = None


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """What became of a call.

    Attributes:
        verdicts: on the events that were tried, and whose outcome counts.
        stopped: keys of which nothing more may be given in this turn.
        halt: why nothing more may be given at all; None: it may.
        refused: keys of the events that the receiver did not take, but might later.
        unsent: events that the publisher did not send.
    """

    verdicts: list[Verdict]
    stopped: set[str]
    halt: Halt | None
    refused: set[str]
    unsent: int


def next_call(
    items: Sequence[Item], stopped: AbstractSet[str], *, ordered: bool, most: int
) -> tuple[list[Item], list[Item]]:
    """Return the events of the next call, and those that are left for later ones.

    Args:
        items: in the order of their sequence.
        stopped: keys whose events are not to be given any more; they are in neither result.
        ordered: whether several events of one key may be in one call.
        most: events in one call.
    """
    if ordered and not stopped:
        return list(items[:most]), list(items[most:])
    call: list[Item] = []
    rest: list[Item] = []
    given: set[str] = set()
    for item in items:
        if item.key in stopped:
            continue
        if len(call) < most and (ordered or item.key not in given):
            call.append(item)
            given.add(item.key)
        else:
            rest.append(item)
    return call, rest


def judge(  # noqa: PLR0913  one argument a fact
    call: Sequence[Item],
    outcomes: Sequence[Outcome],
    *,
    max_attempts: int,
    waits: bool,
    chance: float,
    delays: Sequence[float] | None = None,
    through: bool = False,
    probing: bool = False,
) -> Judgement:
    """Return what became of a call.

    Events after a failed one of their key have no verdict: they were not tried.

    Args:
        call: the events that were given.
        outcomes: one for each.
        max_attempts: after how many failures an event is dead.
        waits: whether a dead event's key waits for a person.
        chance: from 0 to 1, by which pauses are spread.
        delays: seconds between attempts; None: doubling.
        through: whether something was delivered earlier in the turn.
        probing: whether the call is to find out whether anything gets through again.
    """
    verdicts: list[Verdict] = []
    failed: set[str] = set()
    stopped: set[str] = set()
    refused: set[str] = set()
    unsent = 0
    through = through or any(isinstance(outcome, Delivered) for outcome in outcomes)
    in_doubt = not through and (probing or _fails(call, outcomes))
    halt: Halt | None = None
    for item, outcome in zip(call, outcomes, strict=True):
        if isinstance(outcome, Delivered):
            verdicts.append(Done(item))
            continue
        unsent += outcome.cause == "unsent"
        if item.key in failed:
            stopped.add(item.key)  # else a later call would pass it
            continue
        failed.add(item.key)
        if outcome.cause == "unsent":
            stopped.add(item.key)
            continue
        refused |= set() if outcome.permanent else {item.key}
        attempts, reason = item.attempts + 1, _storable(outcome.reason)
        counts = through or item.passed or (outcome.cause == "event" and not in_doubt)
        if outcome.cause in {"busy", "gone"} or not (counts or outcome.permanent):
            cause: Any = outcome.cause if outcome.cause in URGENCY else "away"
            halt = _more_urgent(halt, Halt(cause, reason, outcome.retry_after))
            stopped.add(item.key)
        elif outcome.permanent or attempts >= max_attempts:
            verdicts.append(Dead(item, attempts, reason))
            stopped |= {item.key} if waits else set()
        else:
            delay = max(delay_after(attempts, delays, chance), min(outcome.retry_after or 0.0, MAX_RETRY_AFTER_SECONDS))
            verdicts.append(Again(item, attempts, delay, reason))
            stopped.add(item.key)
    return Judgement(verdicts, stopped, halt, refused, unsent)


def _fails(call: Sequence[Item], outcomes: Sequence[Outcome]) -> bool:
    """Return whether so many keys failed, without being refused for good, that it is likely the receiver's fault."""
    failures = {
        item.key
        for item, outcome in zip(call, outcomes, strict=True)
        if isinstance(outcome, Failed) and not outcome.permanent and outcome.cause != "unsent"
    }
    return len(failures) >= FAILING_KEYS


def _more_urgent(one: Halt | None, other: Halt) -> Halt:
    """Return the halt that lasts longer."""
    if one is None or (URGENCY[other.cause], other.seconds or 0.0) > (URGENCY[one.cause], one.seconds or 0.0):
        return other
    return one


def _storable(reason: str) -> str:
    """Return a reason as Postgres can store it, and as a person can read it."""
    return " ".join(reason.replace("\0", " ").encode(errors="replace").decode().split())[:MAX_REASON_CHARACTERS]


def delay_after(attempts: int, delays: Sequence[float] | None, chance: float) -> float:
    """Return the seconds until an event is tried again that failed so many times; never less than a schedule has."""
    if delays is None:
        return pause(attempts, chance)
    return delays[min(attempts, len(delays)) - 1] * (1.0 + 0.1 * chance)


def off(publisher: str, reason: str) -> str:
    """Return the message that a publisher is switched off, with the remedy."""
    return (
        f'the publisher "{publisher}" is switched off: {reason}; its events are kept. Have it delivered to again with '
        f"`target-eventgen publishers on {publisher}`, or forgotten with `target-eventgen publishers forget {publisher}`"
    )


def pause(failures: int, chance: float) -> float:
    """Return the seconds to wait after so many failures in a row: doubling, up to a limit, spread by half of it."""
    longest = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 30))
    return longest * (0.5 + 0.5 * chance)


def share(slots: int, *, full: bool, slow: bool) -> int:
    """Return how many slots the next turn is to lock, by how the last one went with so many.

    A turn that left events in its slots leaves some slots to other relays; one that didn't takes more, so that few
    events don't make for many turns. Where turns are quick, it is Postgres that is at work rather than the receiver:
    then no slot is locked for long, and some of them at once are better, since the oldest events of many slots lie side
    by side.

    Args:
        slots: how many the last turn was to lock.
        full: whether it left something.
        slow: whether it took long.
    """
    if not full:
        return min(SLOTS, slots * 2)
    return max(1, slots // 2) if slow else max(slots // 2, min(slots * 2, MIN_QUICK_SLOTS))
