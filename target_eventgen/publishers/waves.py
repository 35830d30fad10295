"""How events are given to a receiver that acknowledges each, without one overtaking another of its key.

A receiver may refuse an event and take the next one. So a key's next event is sent only once the one before it was
acknowledged: a call's events go in waves, each with one event of a key at most, and what follows a failure in its key
is not sent at all. Where keys differ, as they mostly do, there is one wave, sent without waiting in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from target_eventgen.errors import UnreachableError
from target_eventgen.publishers.cloudevent import CloudEvent
from target_eventgen.publishers.protocol import Delivered, Failed, Outcome

NOT_SENT: Final = Failed("not sent, since an event of its key before it was not taken", cause="unsent")

TOO_LATE: Final = Failed("not sent, since the events before it took all the time that a call may take", cause="unsent")

CALL_SECONDS: Final = 60.0
"""After which a call sends no further wave: the relay's transaction is open meanwhile, and ends after some minutes."""


def waves(events: Sequence[CloudEvent]) -> list[list[int]]:
    """Return the indexes of the events of each wave: the n-th holds the n-th event of each key that has so many."""
    if len({event.order_key for event in events}) == len(events):
        return [list(range(len(events)))] if events else []
    grouped: list[list[int]] = []
    seen: dict[str, int] = {}
    for index, event in enumerate(events):
        wave = seen.get(event.order_key, 0)
        seen[event.order_key] = wave + 1
        if wave == len(grouped):
            grouped.append([])
        grouped[wave].append(index)
    return grouped


def in_waves(
    events: Sequence[CloudEvent],
    send: Callable[[list[CloudEvent]], Sequence[Outcome]],
    clock: Callable[[], float] = time.monotonic,
) -> list[Outcome]:
    """Give events to a receiver wave by wave.

    Args:
        events: of one call.
        send: gives a wave to the receiver and returns each one's outcome.
        clock: seconds.

    Raises:
        UnreachableError: from the first wave. From a later one it makes failures of what is not acknowledged, so that
            what is acknowledged counts.
    """
    grouped = waves(events)
    if len(grouped) == 1:
        return list(send(list(events)))
    outcomes: dict[int, Outcome] = {}
    stuck: set[str] = set()
    lost: Failed | None = None
    until = clock() + CALL_SECONDS
    for wave in grouped:
        if lost is None and outcomes and clock() >= until:
            lost = TOO_LATE
        sent = [index for index in wave if events[index].order_key not in stuck] if lost is None else []
        if sent:
            try:
                outcomes.update(zip(sent, send([events[index] for index in sent]), strict=True))
            except UnreachableError as error:
                if not any(isinstance(outcome, Delivered) for outcome in outcomes.values()):
                    raise
                lost = Failed(str(error), cause="away")
                outcomes.update(dict.fromkeys(sent, lost))
        for index in wave:
            unsent = NOT_SENT if lost is None or events[index].order_key in stuck else lost
            if not isinstance(outcomes.setdefault(index, unsent), Delivered):
                stuck.add(events[index].order_key)
    return [outcomes[index] for index in range(len(events))]


def sent_where_placed(
    events: list[CloudEvent],
    place: Callable[[CloudEvent], str | Failed],
    send: Callable[[list[CloudEvent], list[str]], Sequence[Outcome]],
) -> list[Outcome]:
    """Give a wave's events to a receiver, those that have a place there; the others are refused.

    Args:
        events: of a wave.
        place: returns the name of an event's topic, subject or the like, or why it has none.
        send: gives events with their places to the receiver, and returns each one's outcome.

    Raises:
        UnreachableError: from `send`.
    """
    places = [place(event) for event in events]
    names = [name for name in places if isinstance(name, str)]
    sent = [event for event, name in zip(events, places, strict=True) if isinstance(name, str)]
    outcomes = iter(send(sent, names) if sent else ())
    return [next(outcomes) if isinstance(name, str) else name for name in places]
