"""The guard: how many events of a rule one run may hand to publishers; the events beyond that are held.

An event can't be unsent, and one bad answer of an API can fire ten thousand. Without a bound nothing is held. Where
both bounds are given the smaller one counts. The share is that of the rows which the table had at the run's beginning:
of an empty table, and of one whose first load has not ended, no share is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import msgspec

from target_eventgen.model.spelling import nearest

BOUNDS: Final = ("events_per_run", "share_of_rows")
"""The keys of a guard."""

HELD: Final = "held"
"""The state of an event that waits for a person's decision."""

WAITING: Final = "waiting"
"""The state of an event that waits for an earlier event of its key, or that the next load is to publish."""

DISCARDED: Final = "discarded"
"""The state of an event that is never delivered, and is remembered so that nothing records it again."""

MAX_COUNTED_ROWS: Final = 10_000
"""Rows of a table up to which they are counted one by one; of a larger table Postgres's estimate counts."""


class Guard(msgspec.Struct, frozen=True):
    """The bounds of one rule; None is no bound.

    Attributes:
        events_per_run: events that one run may hand on.
        share_of_rows: likewise, as a part of the table's rows at the run's beginning; 1 is as many as there are rows.
    """

    events_per_run: int | None = None
    share_of_rows: float | None = None

    def allows(self, rows: int | None) -> int | None:
        """Return the number of events that one run may hand on; None: any number.

        Args:
            rows: of the table at the run's beginning; None: its first load had not ended.
        """
        share = None if not rows or self.share_of_rows is None else math.ceil(self.share_of_rows * rows)
        return min((bound for bound in (self.events_per_run, share) if bound is not None), default=None)


class HeldOfRule(msgspec.Struct, frozen=True):
    """What a guard did to the events of one rule in one run.

    Attributes:
        type: of the events.
        stream: of the events.
        events: how many the run recorded, the held ones among them.
        held: how many are held.
    """

    type: str
    stream: str
    events: int
    held: int


class HeldByGuards(msgspec.Struct, frozen=True):
    """What guards hold as a run ends.

    Attributes:
        rules: of the run's own events, those of which some are held.
        undecided: events of the pipeline that are held, by whichever run.
        seconds: since the first of them was recorded; None: there are none.
    """

    rules: tuple[HeldOfRule, ...] = ()
    undecided: int = 0
    seconds: float | None = None


def parse(entry: Any) -> Guard:
    """Return the guard of an entry without faults; nothing is a guard without bounds."""
    given = entry if isinstance(entry, Mapping) else {}
    return Guard(*(given.get(name) for name in BOUNDS))


def faults(entry: Any, location: str) -> Iterator[str]:
    """Yield what is wrong with the entry of a guard at a location of the configuration."""
    if entry is None:
        return
    if not isinstance(entry, Mapping):
        yield f"{location} must be an object like {{events_per_run: 1000, share_of_rows: 0.2}}"
        return
    known = (*BOUNDS, "streams") if location == "guard" else BOUNDS
    for name in entry:
        if name not in known:
            yield f'{location} has an unknown key "{name}"{nearest(str(name), known)}'
    events, share = (entry.get(name) for name in BOUNDS)
    if events is not None and (type(events) is not int or events < 0):
        yield f"{location}.events_per_run must be an integer, 0 or more"
    if share is not None and (type(share) not in {int, float} or not 0 <= share < math.inf):
        yield f"{location}.share_of_rows must be a number, 0 or more; 0.2 is a fifth of the table's rows"


def faults_of_setting(given: Any, watched: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with the setting: the guard of all rules, with those of streams in it.

    Args:
        given: the setting.
        watched: the streams that rules watch. A guard of any other name never guards anything; without rules, any name
            will do.
    """
    if not isinstance(given, Mapping):
        return  # which the JSON Schema says
    streams = given.get("streams") or {}
    yield from faults({key: value for key, value in given.items() if key != "streams"}, "guard")
    if not isinstance(streams, Mapping):
        yield "guard.streams must be an object like {orders: {events_per_run: 100}}"
        return
    for stream, entry in streams.items():
        yield from faults(entry, f"guard.streams.{stream}")
        if watched and "*" not in stream and stream not in watched:
            yield (
                f"guard.streams.{stream} guards nothing, since no rule watches a stream of this name"
                f"{nearest(stream, watched)}; rules watch {', '.join(sorted(watched))}"
            )
