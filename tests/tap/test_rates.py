"""Rates: no burst beyond the limit, and a quota that runs low is spread before it refuses."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_restextract.exchange.answer import facts_of
from tap_restextract.exchange.rates import (
    Pace,
    Quota,
    departed,
    departure,
    exhausted,
    learned,
    paused,
    spacing_of,
    spread,
)
from tap_restextract.http.pacing import Pacer, Pacers, TooLongError

pytestmark = pytest.mark.pure

NOON = 1767268800.0  # Thu, 01 Jan 2026 12:00:00 GMT
DATE = {"date": "Thu, 01 Jan 2026 12:00:00 GMT"}


def quotas(headers: dict[str, str], now: float) -> tuple[Quota, ...]:
    """What an answer's headers say of quotas."""
    return facts_of(200, headers, now).quotas


@pytest.mark.parametrize(
    ("rate", "seconds"), [("10/s", 0.1), ("600/m", 0.1), ("1/2s", 2), ("3600/h", 1), ("1/d", 86_400), (None, 0)]
)
def test_a_rate_is_the_seconds_between_two_requests(rate: str | None, seconds: float) -> None:
    assert spacing_of(rate) == pytest.approx(seconds)


@given(st.integers(1, 50), st.lists(st.floats(0, 30), max_size=80))
def test_whatever_the_pauses_no_stretch_has_more_requests_than_the_rate(rate: int, pauses: list[float]) -> None:
    pace, now, departures = Pace(), 0.0, []
    for pause in pauses:
        now += pause
        at = departure(pace, 1 / rate, now)
        pace = departed(pace, at)
        departures.append(at)
    for start in departures:
        assert sum(start <= at < start + 1 - 1e-6 for at in departures) <= rate


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=60'}, Quota(50, 30, 100)),
        ({"ratelimit": '"default";r=50', "ratelimit-policy": '"default";q=100;w=60'}, Quota(50, 60, 100)),
        ({"ratelimit": "default;r=0;t=9"}, Quota(0, 9)),
        ({"ratelimit": "limit=100, remaining=50, reset=30"}, Quota(50, 30, 100)),
        (
            {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "50", "ratelimit-reset": "30"},
            Quota(50, 30, 100),
        ),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "30"}, Quota(7, 30)),
        ({"x-rate-limit-remaining": "7", "x-rate-limit-reset": f"{NOON + 30:.0f}"}, Quota(7, 30)),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": f"{(NOON + 30) * 1000:.0f}"}, Quota(7, 30)),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "2026-01-01T12:00:30Z"}, Quota(7, 30)),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "Thu, 01 Jan 2026 12:00:30 GMT"}, Quota(7, 30)),
        (
            {"x-ratelimit-remaining": "7", "x-ratelimit-reset-after": "1.5", "x-ratelimit-reset": "9999999999"},
            Quota(7, 1.5),
        ),
        ({"x-ratelimit-remaining": "-1", "x-ratelimit-reset": "30"}, Quota(0, 30)),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": f"{NOON - 30:.0f}"}, Quota(7, 0)),
    ],
)
def test_each_writing_of_a_quota_is_read(headers: dict[str, str], expected: Quota) -> None:
    assert quotas({**headers, **DATE}, NOON - 5000) == (expected,)


def test_an_epoch_is_counted_from_the_servers_clock_or_from_ours() -> None:
    headers = {"x-ratelimit-remaining": "7", "x-ratelimit-reset": f"{NOON + 30:.0f}"}
    assert quotas(headers, NOON + 10) == (Quota(7, 20),)


def test_several_quotas_are_all_read() -> None:
    text = '"burst";r=1;t=1, "daily";r=900;t=4000'
    assert quotas({"ratelimit": text, "ratelimit-policy": '"burst";q=10;w=1, "daily";q=1000;w=86400'}, NOON) == (
        Quota(1, 1, 10),
        Quota(900, 4000, 1000),
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ratelimit-remaining": "5"},
        {"ratelimit-reset": "5"},
        {"x-ratelimit-remaining": "many", "x-ratelimit-reset": "5"},
        {"x-ratelimit-remaining": "5", "x-ratelimit-reset": "soon"},
        {"ratelimit": '"default";r=50'},
        {"ratelimit": "limit=5, reset=3"},
    ],
)
def test_what_does_not_say_both_remaining_and_reset_says_nothing(headers: dict[str, str]) -> None:
    assert quotas(headers, NOON) == ()


@given(st.text(), st.text(), st.text())
def test_no_header_whatever_it_contains_breaks_the_reader(one: str, two: str, three: str) -> None:
    headers = {"ratelimit": one, "ratelimit-policy": two, "date": three}
    for prefix in ("ratelimit-", "x-ratelimit-", "x-rate-limit-"):
        headers |= {f"{prefix}remaining": one, f"{prefix}reset": two, f"{prefix}limit": three}
    for quota in quotas(headers, NOON):
        assert quota.remaining >= 0
        assert quota.reset >= 0


def test_nine_tenths_of_a_quota_are_free_and_the_last_one_is_spread() -> None:
    assert spread(Quota(11, 60, 100)) == 0
    assert spread(Quota(9, 60, 100)) == 6
    assert spread(Quota(10, 22)) == 2
    assert spread(Quota(11, 22)) == 0


def test_a_quota_of_a_day_never_spreads_further_than_a_minute() -> None:
    assert spread(Quota(2, 86_400, 1000)) == 60


def test_the_slowing_begins_at_the_last_departure_and_ends_with_the_quotas_window() -> None:
    pace = learned(departed(Pace(), 100.0), (Quota(1, 10, 10),), 101.0)
    assert departure(pace, 0, 101.0) == 105.0
    assert departure(departed(pace, 112.0), 0, 112.0) == 112.0
    assert departure(pace, 7.0, 101.0) == 107.0


def test_an_empty_quota_is_waited_for_until_its_reset() -> None:
    pace = learned(departed(Pace(), 100.0), (Quota(0, 10),), 101.0)
    assert departure(pace, 0, 101.0) == 111.0


def test_the_tightest_of_several_quotas_decides() -> None:
    pace = learned(departed(Pace(), 100.0), (Quota(1, 4, 10), Quota(0, 9, 1000)), 100.0)
    assert departure(pace, 0, 100.0) == 109.0


def test_requests_in_flight_count_as_spent() -> None:
    assert departure(learned(departed(Pace(), 100.0), (Quota(2, 10, 10),), 100.0, flying=2), 0, 100.0) == 110.0


def test_an_answer_without_a_quota_changes_nothing() -> None:
    pace = learned(Pace(), (Quota(1, 10, 10),), 100.0)
    assert learned(pace, (), 105.0) == pace


def test_a_fuller_quota_ends_the_slowing() -> None:
    pace = learned(departed(Pace(), 100.0), (Quota(1, 10, 10),), 100.0)
    assert departure(learned(pace, (Quota(9, 10, 10),), 101.0), 0, 101.0) == 101.0


def test_the_longest_of_the_empty_quotas_is_what_is_waited_for() -> None:
    assert exhausted((Quota(0, 5), Quota(0, 9), Quota(3, 99))) == 9
    assert exhausted((Quota(3, 99),)) is None


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self.meanwhile: Any = None

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        if self.meanwhile:
            self.meanwhile, then = None, self.meanwhile
            then()


def test_a_pacer_waits_for_each_turn_and_not_for_the_first() -> None:
    clock = Clock()
    pacer = Pacer(lambda: clock.now, clock.sleep)
    for _ in range(3):
        pacer.wait(0.5, 10)
        pacer.answered()
    assert clock.slept == [0.5, 0.5]


def test_a_pause_reaches_those_who_already_wait() -> None:
    clock = Clock()
    pacer = Pacer(lambda: clock.now, clock.sleep)
    pacer.wait(0.5, 10)
    clock.meanwhile = lambda: pacer.pause(5)
    pacer.wait(0.5, 10)
    assert clock.now == pytest.approx(105.5)


def test_a_wait_beyond_the_longest_is_not_begun() -> None:
    clock = Clock()
    pacer = Pacer(lambda: clock.now, clock.sleep)
    pacer.wait(0, 10)
    pacer.answered((Quota(0, 11),))
    with pytest.raises(TooLongError) as caught:
        pacer.wait(0, 10)
    assert caught.value.seconds == 11
    assert clock.slept == []


def test_threads_share_one_pace() -> None:
    pacer = Pacer()

    def work() -> None:
        for _ in range(5):
            pacer.wait(0.02, 10, lambda _: None)
            pacer.answered()

    threads = [threading.Thread(target=work) for _ in range(4)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - start >= 0.02 * 19


def test_a_pause_moves_what_comes_before_it_only() -> None:
    assert departure(paused(Pace(), 50.0), 0, 40.0) == 50.0
    assert departure(paused(paused(Pace(), 50.0), 45.0), 0, 60.0) == 60.0


def test_one_identity_has_one_pacer() -> None:
    pacers = Pacers()
    assert pacers.of("a") is pacers.of("a")
    assert pacers.of("a") is not pacers.of("b")
