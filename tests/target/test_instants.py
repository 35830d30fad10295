"""Texts that are instants, in the order of time; tried on Postgres."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from psycopg2 import sql

from target_eventgen.model.versions import HELD, NUMERIC, is_finer, is_ordered, split
from target_eventgen.store.sql.instants import number_of, seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor

ORDERED = [
    "0001-01-01",
    "2026-01-01",
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
    "9999-12-31T23:59:59.9999999Z",
    "9999-12-31T23:59:60-01:00",
]
SAME = [
    ("2026-01-01", "2026-01-01T00:00Z"),
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


def meant(ask: cursor, texts: list[str]) -> list[Any]:
    query = sql.SQL("SELECT {} FROM unnest({}::text[]) WITH ORDINALITY AS u (t, n) ORDER BY n")
    ask.execute(query.format(seconds_of(sql.SQL("t")), sql.Literal(texts)))
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


def test_what_is_not_an_instant_is_no_version(ask: cursor) -> None:
    assert meant(ask, PLAIN) == [None] * len(PLAIN)
    is_instant = is_ordered("text", HELD)
    assert [text for text in PLAIN if is_instant(text)] == []
    assert [text for text in ORDERED if not is_instant(text)] == []


def test_a_number_is_told_alike_before_and_in_postgres(ask: cursor) -> None:
    texts = ["9", "+1.", "-.5", "1e3", "1E-999", "", ".", "1e4000", "ten", "1 ", "0x10", "NaN"]
    query = sql.SQL("SELECT {} FROM unnest({}::text[]) WITH ORDINALITY AS u (t, n) ORDER BY n")
    ask.execute(query.format(number_of(sql.SQL("t")), sql.Literal(texts)))
    found = [row[0] is not None for row in ask.fetchall()]
    assert found == [is_ordered("text", NUMERIC)(text) for text in texts] == [True] * 5 + [False] * 7


@pytest.mark.parametrize(
    ("text", "whole", "rest"),
    [
        ("2026-01-01T00:00:00.123456200Z", "2026-01-01T00:00:00.123456Z", "2E-7"),
        ("2026-01-01T00:00:00.1234567+02:00", "2026-01-01T00:00:00.123457+02:00", "-3E-7"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999Z", "9E-7"),
        ("2026-01-01 00:00:00,0000005", "2026-01-01 00:00:00,000001", "-5E-7"),
        ("2026-01-01T00:00:00.1234560000Z", "2026-01-01T00:00:00.1234560000Z", None),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", None),
        ("1234567.1234567", "1234567.1234567", None),
    ],
)
def test_an_instant_is_split_at_its_microsecond(text: str, whole: str, rest: str | None) -> None:
    assert split(text) == (whole, None if rest is None else Decimal(rest))
    assert is_finer(text) is (rest is not None)


def test_nothing_is_older_than_nothing(ask: cursor) -> None:
    ask.execute(sql.SQL("SELECT {}").format(seconds_of(sql.SQL("NULL::text"))))
    assert ask.fetchone() == (None,)
