"""Delivery status, for a person or for a program."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict

from target_eventgen.delivery import registration
from target_eventgen.delivery.session import Session
from target_eventgen.delivery.sql import held, progress


class Progress(Struct, frozen=True):
    """The delivery status of one publisher.

    Attributes:
        publisher: its name.
        due: events that are to be delivered now.
        waiting: events after one of their key that failed.
        retrying: events that failed and are to be tried again.
        dead_letters: events that are not tried any more.
        delivered: events since it was first seen.
        per_second: events, over about the last minute.
        idle_seconds: since it last delivered something; None: never.
        oldest_seconds: since its oldest undelivered event was recorded; None: there is none.
        last_failure: the reason of the last failure that still blocks a key.
        paused_seconds: for which its receiver wants no requests yet; None: it doesn't pause.
        pause_reason: why; None: it doesn't pause.
        off_seconds: since it was switched off; None: it isn't.
        off_reason: why; None: it isn't.
    """

    publisher: str
    due: int
    waiting: int
    retrying: int
    dead_letters: int
    delivered: int
    per_second: float
    idle_seconds: float | None
    oldest_seconds: float | None
    last_failure: str | None
    paused_seconds: float | None
    pause_reason: str | None
    off_seconds: float | None
    off_reason: str | None

    @property
    def backlog(self) -> int:
        """Events that are still to be delivered."""
        return self.due + self.waiting + self.retrying

    @property
    def trouble(self) -> str:
        """Why it does not deliver, or what failed last; nothing where all is well."""
        if self.off_seconds is not None:
            return f"switched off {_ago(self.off_seconds)} ago: {self.off_reason}"
        if self.paused_seconds is not None:
            return f"pauses for {_ago(self.paused_seconds)}: {self.pause_reason}"
        return self.last_failure or ""


class Recorded(Struct, frozen=True):
    """The events of one type: how many there are, seconds since the last, how many are undelivered by publisher."""

    type: str
    recorded: int
    last_seconds: float | None
    undelivered: dict[str, int] = field(default_factory=dict)


class Held(Struct, frozen=True):
    """Events that a guard holds, those that wait for them, and the seconds since the oldest held one was recorded."""

    held: int = 0
    waiting: int = 0
    oldest_seconds: float | None = None


class Status(Struct, frozen=True):
    """The delivery status of all publishers, the recorded events, and how many a guard holds."""

    publishers: Sequence[Progress]
    events: Sequence[Recorded]
    held: Held = Held()


def read(dsn: str) -> Status:
    """Return the delivery status.

    Raises:
        ConnectionLostError: the database can't be reached.
        DatabaseError: it can't be read.
    """
    with contextlib.closing(Session(dsn, "status")) as session, session.transaction() as cursor:
        cursor.execute("SELECT to_regclass('eventgen.events') IS NOT NULL")
        if cursor.fetchall() != [(True,)]:
            return Status((), ())
        by_publisher: list[Progress] = []
        undelivered: dict[str, dict[str, int]] = {}
        if registration.exist(cursor):
            cursor.execute(progress.PROGRESS)
            by_publisher = [Progress(*row) for row in cursor.fetchall()]
            cursor.execute(progress.UNDELIVERED)
            for type_, name, number in cursor.fetchall():
                undelivered.setdefault(type_, {})[name] = number
        cursor.execute(held.EXIST)
        of_guards = Held()
        if cursor.fetchall() == [(True,)]:
            cursor.execute(held.NUMBERS)
            of_guards = Held(*cursor.fetchall()[0])
        cursor.execute(progress.RECORDED)
        recorded = [
            Recorded(type_, number, seconds, undelivered.get(type_, {})) for type_, number, seconds in cursor.fetchall()
        ]
    return Status(by_publisher, recorded, of_guards)


def document(status: Status) -> dict[str, Any]:
    """Return it as plain values, for JSON."""
    publishers = [{**asdict(each), "backlog": each.backlog} for each in status.publishers]
    events = [asdict(each) for each in status.events]
    return {"publishers": publishers, "events": events, "held": asdict(status.held)}


def text(status: Status) -> str:
    """Return it as two tables, and a line where events are held."""
    publishers = [
        ("PUBLISHER", "BACKLOG", "OLDEST", "RETRYING", "WAITING", "DEAD", "DELIVERED", "PER SECOND", "LAST", "FAILURE"),
        *(
            (
                each.publisher,
                str(each.backlog),
                _ago(each.oldest_seconds),
                str(each.retrying),
                str(each.waiting),
                str(each.dead_letters),
                str(each.delivered),
                f"{each.per_second:.1f}",
                _ago(each.idle_seconds),
                each.trouble,
            )
            for each in status.publishers
        ),
    ]
    recorded = [
        ("EVENT TYPE", "RECORDED", "LAST", "UNDELIVERED"),
        *(
            (
                each.type,
                str(each.recorded),
                _ago(each.last_seconds),
                ", ".join(f"{name} {number}" for name, number in each.undelivered.items()) or "0",
            )
            for each in status.events
        ),
    ]
    parts = ["\n".join(columns(publishers)) if status.publishers else "No publishers are known."]
    parts.append("\n".join(columns(recorded)) if status.events else "No events are recorded.")
    if status.held.held or status.held.waiting:
        parts.append(
            f"{status.held.held} events are held, the oldest for {_ago(status.held.oldest_seconds)}; {status.held.waiting} wait: "
            "see `target-eventgen events held`."
        )
    return "\n\n".join(parts)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _ago(seconds: float | None) -> str:
    """Return a duration in its largest unit."""
    if seconds is None:
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
