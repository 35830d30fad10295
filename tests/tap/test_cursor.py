"""Cursors: ranks of values as APIs write them, and values written back without a digit lost."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_restextract.exchange.answer import answer_of, facts_of
from tap_restextract.values.cursor import (
    NoRankError,
    floor,
    kind_and_rank,
    precision_of,
    rank,
    resolution_of,
    step_back,
)

pytestmark = pytest.mark.pure

NEW_YEAR = 1767225600  # 2026-01-01T00:00:00Z
moments = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=st.just(timezone.utc))  # noqa: DTZ001  hypothesis adds the zone
offsets = st.sampled_from(["Z", "+00:00", "+05:30", "-0800", "+14", ""])
digits = st.integers(0, 9)


def written(moment: datetime, offset: str, places: int) -> str:
    """An instant in the writing of some API: local time of its offset, and this many fractional digits."""
    minutes = {"+05:30": 330, "-0800": -480, "+14": 840}.get(offset, 0)
    local = (moment + timedelta(minutes=minutes)).replace(tzinfo=None)
    fraction = f"{local.microsecond:06d}000"[:places]
    return local.replace(microsecond=0).isoformat() + (f".{fraction}" if places else "") + offset


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01 00:00:00",
        "2026-01-01t00:00:00z",
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T00:00:00,0Z",
        "2026-01-01T05:30:00+05:30",
        "2025-12-31T16:00:00-0800",
        "2025-12-31T23:30:00-00:30",
        "2026-01-01T14:00:00+14",
        "2026-01-01 00:00:00 UTC",
        "2026-01-01T00:00",
        "2026-01-01",
        "2025-12-31T23:59:60Z",
    ],
)
def test_one_instant_has_one_rank_however_it_is_written(text: str) -> None:
    assert kind_and_rank(text) == ("instant", NEW_YEAR)


@pytest.mark.parametrize(
    ("value", "number"),
    [(7, 7), ("10", 10), ("-3", -3), (1.5, Decimal("1.5")), ("1.50", Decimal("1.5")), (Decimal("1E+3"), 1000)],
)
def test_a_number_is_its_own_rank_also_as_text(value: Any, number: Any) -> None:
    assert kind_and_rank(value) == ("number", number)


def test_numbers_as_text_are_compared_as_numbers() -> None:
    assert rank("9") < rank("10")


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "abc",
        "2026-13-01",
        "2026-02-30T00:00:00Z",
        "2026-01-01T10:60Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T10:30.5Z",
        [],
        {},
    ],
)
def test_what_is_neither_instant_nor_number_has_no_rank(value: Any) -> None:
    with pytest.raises(NoRankError):
        rank(value)


@given(moments, offsets, digits, moments, offsets, digits)
def test_ranks_are_ordered_as_the_moments_are(  # noqa: PLR0917  two moments of three parts
    one: datetime, one_offset: str, one_places: int, two: datetime, two_offset: str, two_places: int
) -> None:
    first, second = written(one, one_offset, one_places), written(two, two_offset, two_places)
    cut_one = one.replace(microsecond=int(f"{one.microsecond:06d}"[: min(one_places, 6)].ljust(6, "0")))
    cut_two = two.replace(microsecond=int(f"{two.microsecond:06d}"[: min(two_places, 6)].ljust(6, "0")))
    assert (rank(first) < rank(second)) == (cut_one < cut_two)
    assert (rank(first) == rank(second)) == (cut_one == cut_two)


@given(moments, offsets, digits)
def test_back_ranks_exactly_one_step_lower_in_the_same_writing(moment: datetime, offset: str, places: int) -> None:
    text = written(moment, offset, places)
    earlier = step_back(text, resolution_of(text))
    assert rank(earlier) == rank(text) - Decimal(1).scaleb(-places)
    assert len(earlier) == len(text)
    assert earlier.endswith(offset)


@given(st.one_of(st.integers(-(10**20), 10**20), st.decimals(-(10**9), 10**9, places=3)))
def test_back_of_a_number_is_one_of_its_smallest_steps_lower(value: int | Decimal) -> None:
    assert rank(step_back(value, resolution_of(value))) == value - resolution_of(value)


@given(moments, offsets, digits, st.sampled_from(["1ms", "1s", "5s", "1m", "1h", "1d"]))
def test_floor_is_the_last_multiple_that_is_not_after_the_value(
    moment: datetime, offset: str, places: int, precision: str
) -> None:
    text, step = written(moment, offset, places), precision_of(precision)
    floored = Decimal(rank(floor(text, step)))
    assert floored <= rank(text) < floored + step
    assert floored % step == 0


@pytest.mark.parametrize(
    ("text", "earlier"),
    [
        ("2026-01-01T00:00:00.000Z", "2025-12-31T23:59:59.999Z"),
        ("2026-01-01 00:00:00.5", "2026-01-01 00:00:00.4"),
        ("2026-01-01T00:00:00.123456789+02:00", "2026-01-01T00:00:00.123456788+02:00"),
        ("2026-03-01", "2026-02-28"),
        ("2026-01-01 00:00:00 UTC", "2025-12-31 23:59:59 UTC"),
        ("100", "99"),
        ("1.50", "1.49"),
        (5, 4),
        (Decimal("1.5"), Decimal("1.4")),
    ],
)
def test_back_keeps_the_writing(text: Any, earlier: Any) -> None:
    assert step_back(text, resolution_of(text)) == earlier


def test_years_before_1000_keep_their_four_digits() -> None:
    assert floor("0999-06-01T00:00:05Z", Decimal(60)) == "0999-06-01T00:00:00Z"
    assert step_back("0999-06-01", Decimal(86400)) == "0999-05-31"


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "0001-01-01", "0001-01-01T00:00:00.000+05:00"])
def test_nothing_is_before_the_first_moment_that_can_be_written(text: str) -> None:
    assert step_back(text, Decimal(86400)) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", "1"), ("500ms", "0.5"), ("10us", "0.00001"), ("2m", "120"), ("1h", "3600"), ("1d", "86400"), ("7", "7")],
)
def test_durations_are_read_in_seconds_and_bare_numbers_as_they_are(text: str, seconds: str) -> None:
    assert precision_of(text) == Decimal(seconds)


@pytest.mark.parametrize(
    "value",
    [
        "1" * 10**6,
        "1." + "1" * 10**6,
        f"2026-01-01T00:00:00.{'1' * 10**6}Z",
        Decimal("1e9999999"),
        Decimal("1e-9999999"),
        Decimal("0." + "1" * 10**6),
    ],
    ids=["digits", "a fraction", "an instant", "an exponent", "a small exponent", "a number"],
)
def test_a_value_of_a_million_digits_has_no_rank_and_that_is_known_at_once(value: Any) -> None:
    begun = monotonic()
    with pytest.raises(NoRankError):
        kind_and_rank(value)
    assert monotonic() - begun < 1


@pytest.mark.parametrize("number", [b"1e99999999999999999999", b"1" * 10**6])
def test_an_answer_with_a_number_that_nothing_can_hold_is_told_at_once_and_not_tried_again(number: bytes) -> None:
    begun = monotonic()
    answer = answer_of("http://api/things", facts_of(200, {}), b'[{"id": 1, "updated_at": ' + number + b"}]")
    assert "a number of more digits than can be read" in answer.fault
    assert answer.remedy
    assert monotonic() - begun < 1


@pytest.mark.parametrize(
    "moment",
    [
        "0001-01-01T00:00:00",
        "1969-12-31T23:59:59",
        "2024-02-29T12:34:56",
        "2026-01-31T23:59:60",
        "9999-12-31T23:59:59",
        "2026-02-29T00:00:00",
        "2026-01-31T24:00:00",
        "2026-W05-6T00:00:00",
        "2026-01-31T00:60:00",
        "2026-01-31T000:00:0",
        "2026-01-31 00:00:00",
        "2026-01-31T00:00: 0",
        "\u0662\u0660\u0662\u0666-01-31T00:00:00",
        "2026-\u0660\u0661-31T00:00:00",
    ],
)
def test_a_whole_second_is_ranked_alike_however_utc_is_written(moment: str) -> None:
    ranks: list[Any] = []
    for offset in ("Z", "+00:00", "z"):
        try:
            ranks.append(rank(f"{moment}{offset}"))
        except NoRankError:
            ranks.append("none")
    assert ranks[0] == ranks[1] == ranks[2]
    assert type(ranks[0]) is type(ranks[1])
