"""Held events looked at, released and discarded, as a person asks.

A decision excludes the transactions that record events for as long as it takes. So none of them sends an event behind
one that is leaving, and none past one that stays; see `store.sql.guard`.
"""

from __future__ import annotations

import contextlib

from msgspec import Struct

from target_eventgen.delivery.session import Session
from target_eventgen.delivery.sql import held
from target_eventgen.delivery.sql.held import HeldFilter
from target_eventgen.model.guard import DISCARDED, WAITING
from target_eventgen.store.sql import guard


class HeldGroup(Struct, frozen=True):
    """Held events of one run, stream and type; `oldest` is RFC 3339 in UTC, `key` the partition key of the oldest."""

    run: int
    stream: str
    type: str
    held: int
    waiting: int
    oldest: str
    key: str


class Decision(Struct, frozen=True):
    """What became of a decision.

    Attributes:
        decided: held events that it was about.
        moved: events that are in the outbox now, those that had waited for the others among them.
        waiting: events that still wait: behind others that are held, or for a load that publishes them.
    """

    decided: int = 0
    moved: int = 0
    waiting: int = 0


def groups(dsn: str, chosen: HeldFilter) -> list[HeldGroup]:
    """Return what is held, by run, stream and type, oldest first."""
    with contextlib.closing(Session(dsn, "held events")) as session, session.transaction() as cursor:
        cursor.execute(held.EXIST)
        if cursor.fetchall() != [(True,)]:
            return []
        cursor.execute(held.groups(chosen))
        return [HeldGroup(*row) for row in cursor.fetchall()]


def release(dsn: str, chosen: HeldFilter) -> Decision:
    """Let held events into the outbox, in the order of each key, with what waited for them alone."""
    return _decide(dsn, chosen, WAITING)


def discard(dsn: str, chosen: HeldFilter) -> Decision:
    """Have held events never delivered, but remembered; let into the outbox what waited for them alone."""
    return _decide(dsn, chosen, DISCARDED)


def _decide(dsn: str, chosen: HeldFilter, state: str) -> Decision:
    with contextlib.closing(Session(dsn, "held events")) as session, session.transaction() as cursor:
        cursor.execute(held.EXIST)
        if cursor.fetchall() != [(True,)]:
            return Decision()
        cursor.execute(guard.LOCK_EVENTS)
        cursor.execute(held.decide(chosen, state))
        decided = cursor.rowcount
        cursor.execute(guard.move(None))
        moved = cursor.rowcount
        cursor.execute(held.NUMBERS)
        ((_, waiting, _),) = cursor.fetchall()
        return Decision(decided, moved, waiting)
