"""Texts that are instants, in the order of time; tried on Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2
import pytest
from psycopg2 import sql

from target_eventgen.store.sql.instants import comparable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor

ORDERED = [
    "2026-01-01T09:59:59.999999999Z",
    "2026-01-01T12:00:00+02:00",
    "2026-01-01 10:30",
    "2026-01-01T10:30:00.000000001Z",
    "2026-01-01T05:30:00.25-0500",
    "2026-01-01T10:30:00,5",
    "2026-01-01T10:30:01Z",
    "2026-01-01T24:00:00Z",
    "2026-02-30T00:00:00z",
    "2026-03-03T00:00:00Z",
    "2026-06-30T23:59:60Z",
    "2026-07-01T00:00:00.1Z",
]
SAME = [
    ("2026-01-01T10:30:00Z", "2026-01-01T10:30:00.000Z"),
    ("2026-01-01T10:30:00Z", "2026-01-01 12:30:00+02"),
    ("2026-01-01T10:30:00.50Z", "2026-01-01T16:00:00.5+05:30"),
]
PLAIN = [
    "",
    "10",
    "9",
    "B",
    "a",
    "ä",
    "2026-01-01",
    "2026-13-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "x2026-01-01T00:00:00Z",
]


@pytest.fixture
def ask(database: str) -> Iterator[cursor]:
    connection = psycopg2.connect(database)
    with connection.cursor() as asking:
        yield asking
    connection.close()


def meant(ask: cursor, texts: list[str]) -> list[str]:
    query = sql.SQL("SELECT {} FROM unnest({}::text[]) WITH ORDINALITY AS u (t, n) ORDER BY n")
    ask.execute(query.format(comparable(sql.SQL("t")), sql.Literal(texts)))
    return [row[0] for row in ask.fetchall()]


def test_instants_order_by_time_whatever_their_spelling(ask: cursor) -> None:
    found = meant(ask, ORDERED)
    assert found == sorted(found)
    assert sorted(set(found)) == sorted(set(found), key=found.index)
    assert sorted(ORDERED) != ORDERED


@pytest.mark.parametrize(("left", "right"), SAME)
def test_one_instant_has_many_spellings(ask: cursor, left: str, right: str) -> None:
    first, second = meant(ask, [left, right])
    assert first == second


def test_what_is_not_an_instant_stands_for_itself(ask: cursor) -> None:
    assert meant(ask, PLAIN) == PLAIN


def test_what_was_made_comparable_is_the_same_again(ask: cursor) -> None:
    once = meant(ask, ORDERED)
    assert meant(ask, once) == once


def test_nothing_is_older_than_nothing(ask: cursor) -> None:
    ask.execute(sql.SQL("SELECT {}").format(comparable(sql.SQL("NULL::text"))))
    assert ask.fetchone() == (None,)
