"""Retries: which answers are worth another try, and how long to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_restextract.exchange.retry import Verdict, http_date, max_backoff, retry_after, verdict

pytestmark = pytest.mark.pure

NOON = 1767268800.0  # Thu, 01 Jan 2026 12:00:00 GMT


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((200, 201, 204), Verdict.ACCEPT),
        ((408, 425, 500, 502, 503, 504, 599), Verdict.RETRY),
        ((429,), Verdict.RATE_LIMITED),
        ((301, 302, 303, 307, 308), Verdict.REDIRECT),
        ((401,), Verdict.UNAUTHORIZED),
        ((304,), Verdict.UNCHANGED),
        ((300, 400, 403, 404, 409, 410, 422), Verdict.REFUSE),
    ],
)
def test_each_status_has_one_verdict(statuses: tuple[int, ...], expected: Verdict) -> None:
    assert {verdict(status) for status in statuses} == {expected}


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("120", 120), (" 7 ", 7), ("1.5", 1.5)])
def test_retry_after_in_seconds_is_obeyed_whole(text: str, seconds: float) -> None:
    assert retry_after({"retry-after": text}, NOON) == seconds


@pytest.mark.parametrize(
    "date", ["Thu, 01 Jan 2026 12:02:00 GMT", "Thursday, 01-Jan-26 12:02:00 GMT", "Thu Jan  1 12:02:00 2026"]
)
def test_retry_after_as_a_date_is_counted_from_this_moment(date: str) -> None:
    assert retry_after({"retry-after": date}, NOON) == 120


def test_retry_after_as_a_date_is_counted_from_the_servers_own_clock_where_it_shows_one() -> None:
    headers = {"retry-after": "Thu, 01 Jan 2026 12:02:00 GMT", "date": "Thu, 01 Jan 2026 12:01:30 GMT"}
    assert retry_after(headers, NOON - 5000) == 30


def test_a_date_that_has_passed_asks_for_no_wait() -> None:
    assert retry_after({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, NOON) == 0


@pytest.mark.parametrize(
    "text",
    ["", "soon", "-5", "²", "٣", "1e3", "Mon, 01 Jan 99999999999 00:00:00 GMT", "Fri, 31 Dec 1999 23:59:59 +9999"],
)
def test_what_is_neither_seconds_nor_a_date_says_nothing(text: str) -> None:
    assert retry_after({"retry-after": text}, NOON) is None


@given(st.text())
def test_no_header_whatever_it_contains_breaks_the_reader(text: str) -> None:
    wait = retry_after({"retry-after": text, "date": text}, NOON)
    assert wait is None or wait >= 0


def test_a_date_without_a_zone_is_utc() -> None:
    assert http_date("Thu, 01 Jan 2026 12:00:00") == NOON


def test_waits_double_from_a_second_to_a_minute() -> None:
    assert [max_backoff(attempt) for attempt in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
