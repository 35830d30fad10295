"""Dead letters retried or dropped, and events of the past replayed, as a person asks.

All of it waits until no relay is at work for the publisher, and takes effect at once: a relay sees what is due before
it or after it, and so keeps the order of each key.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from psycopg2 import extensions

from target_eventgen.delivery import registration
from target_eventgen.delivery.session import Session
from target_eventgen.delivery.sql import blocking, dead_letters, registry, replays, retention
from target_eventgen.store import catalog


class Letter(Struct, frozen=True):
    """A dead letter; `died_at` is RFC 3339 in UTC. Source and table are None where earlier code didn't say them."""

    letter: int
    publisher: str
    id: str
    type: str
    subject: str
    attempts: int
    reason: str
    died_at: str
    source: str | None
    table: str | None


class LetterFilter(Struct, frozen=True):
    """A selection of dead letters; None is any. Types are LIKE patterns."""

    letters: Sequence[int] | None = None
    publisher: str | None = None
    types: Sequence[str] | None = None


def letters(dsn: str, letter_filter: LetterFilter) -> list[Letter]:
    """Return dead letters, oldest first.

    Raises:
        SettingsError: the publisher is not known.
    """
    with _transaction(dsn) as cursor:
        return [Letter(*row[:10]) for row in _select(cursor, letter_filter)]


def retry(dsn: str, letter_filter: LetterFilter) -> int:
    """Make dead letters due again, with no attempts counted, and unblock their keys; return how many.

    Raises:
        SettingsError: the publisher is not known.
    """
    return _settle(dsn, letter_filter, again=True)


def drop(dsn: str, letter_filter: LetterFilter) -> int:
    """Drop dead letters, and unblock their keys; return how many. The events stay in the outbox.

    Raises:
        SettingsError: the publisher is not known.
    """
    return _settle(dsn, letter_filter, again=False)


def replay(dsn: str, events: replays.EventFilter, publishers: Sequence[str] = ()) -> dict[str, int]:
    """Make recorded events due again, with the ids that they have; return how many for each publisher.

    Args:
        dsn: where the outbox is.
        events: which of them.
        publishers: to these; none: to all that are known.

    Raises:
        SettingsError: a publisher is not known.
        DatabaseError: an instant is not valid.
    """
    counts: dict[str, int] = {}
    with _transaction(dsn) as cursor:
        names = list(publishers) or (sorted(registration.registered(cursor)) if registration.exist(cursor) else [])
        cursor.execute(retention.LOCK_TIDYING)
        for name in names:
            number = registration.number_of(cursor, name)
            cursor.execute(registry.lock_all_slots(number))
            cursor.execute(replays.replay(number, events))
            counts[name] = cursor.rowcount
        cursor.execute(replays.NOTIFY)
    return counts


def fitting(dsn: str, events: replays.EventFilter) -> set[str]:
    """Return the ids of recorded events that fit: all of them where ids are asked for, else of one alone.

    Raises:
        DatabaseError: an instant is not valid.
    """
    with _transaction(dsn) as cursor:
        cursor.execute(catalog.EXIST)
        if cursor.fetchall() != [(True,)]:
            return set()
        cursor.execute(replays.fitting(events))
        return {id_ for (id_,) in cursor.fetchall()}


@contextlib.contextmanager
def _transaction(dsn: str) -> Iterator[extensions.cursor]:
    with contextlib.closing(Session(dsn, "redelivery")) as session, session.transaction() as cursor:
        yield cursor


def _select(cursor: extensions.cursor, letter_filter: LetterFilter) -> list[tuple[Any, ...]]:
    if not registration.exist(cursor):
        return []
    number = None if letter_filter.publisher is None else registration.number_of(cursor, letter_filter.publisher)
    cursor.execute(dead_letters.letters(number, letter_filter.letters, letter_filter.types))
    return cursor.fetchall()


def _settle(dsn: str, letter_filter: LetterFilter, *, again: bool) -> int:
    with _transaction(dsn) as cursor:
        selected = _select(cursor, letter_filter)
        for number in sorted({row[10] for row in selected}):
            cursor.execute(registry.lock_all_slots(number))
        # Another person may have been faster: what counts is what is taken now.
        cursor.execute(dead_letters.take_letters([row[0] for row in selected]))
        taken = cursor.fetchall()
        for number in sorted({number for number, *_ in taken}):
            own = [row[1:] for row in taken if row[0] == number]
            if again:
                cursor.execute(replays.mark_due(number, [(slot, sequence) for sequence, slot, _ in own]))
            blocks = [(key, sequence) for sequence, _, keys in own for key in dict.fromkeys(keys)]
            cursor.execute(blocking.keys_blocked_by(number, blocks))
            cursor.execute(blocking.unblock_keys(number, [key for (key,) in cursor.fetchall()]))
        cursor.execute(replays.NOTIFY)
        return len(taken)
