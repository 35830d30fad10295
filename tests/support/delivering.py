"""What the relay does with a publisher, at its simplest, and how what arrived is judged."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from target_eventgen.errors import UnreachableError
from target_eventgen.publishers.protocol import Delivered
from tests.support.messages import event
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from target_eventgen.publishers.cloudevent import CloudEvent
    from target_eventgen.publishers.protocol import Publisher
    from tests.support.rigs import Arrived

_NUMBERS = itertools.count(1)


def fresh(count: int, keys: int = 5, size: int = 0) -> list[CloudEvent]:
    """Events that no test has had yet, of some keys in turn."""
    return [event(next(_NUMBERS), key=f"k{place % keys}", size=size) for place in range(count)]


def deliver(publisher: Publisher, events: Sequence[CloudEvent], seconds: float = 60) -> int:
    """Publish until every event is delivered, and return how many calls it took; a key's events wait for each other."""
    left = list(events)
    calls = 0

    def is_done() -> bool:
        nonlocal left, calls
        calls += 1
        given = left[: publisher.most]
        try:
            outcomes = publisher.publish(given)
        except UnreachableError:
            return False
        done = {one.id for one, outcome in zip(given, outcomes, strict=True) if outcome == Delivered()}
        left = [one for one in left if one.id not in done]
        return not left

    wait_until(is_done, seconds, what=lambda: f"{len(left)} events delivered")
    return calls


def of(events: Iterable[CloudEvent], arrived: Iterable[Arrived]) -> list[Arrived]:
    """What has arrived of these events."""
    ids = {one.id for one in events}
    return [one for one in arrived if one.id in ids]


def firsts(arrived: Iterable[Arrived]) -> dict[str, list[int]]:
    """Each key's sequence numbers, in the order in which they came for the first time."""
    found: dict[str, list[int]] = {}
    seen: set[str] = set()
    for one in arrived:
        if one.id not in seen:
            seen.add(one.id)
            found.setdefault(one.key, []).append(one.sequence)
    return found


def expected(events: Iterable[CloudEvent]) -> dict[str, list[int]]:
    """The same of what was to be delivered."""
    found: dict[str, list[int]] = {}
    for one in events:
        found.setdefault(one.partitionkey, []).append(int(one.sequence))
    return found
