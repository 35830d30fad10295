"""How fast a publisher goes, and when it pauses, by a clock that the test holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec
import pytest

from target_eventgen.delivery import pace
from target_eventgen.delivery.pace import Pace

pytestmark = pytest.mark.pure


def test_without_a_rate_everything_may_go_at_once() -> None:
    _, count, seconds = pace.take(Pace(), 100.0, 500)
    assert (count, seconds) == (500, 0.0)


def test_a_rate_is_kept_to_the_second_and_nothing_is_saved_up() -> None:
    for rate in (0.5, 5.0, 1000.0):
        now, current, went = 1000.0, Pace(limit=rate), deque[tuple[float, int]]()
        while now < 1060.0:
            current, count, seconds = pace.take(current, now, 10_000)
            assert (count > 0) == (seconds == 0.0)
            went.append((now, count))
            now += seconds or 1e-3
        assert sum(count for _, count in went) <= rate * 60 + max(1.0, rate * pace.BURST_SECONDS)
        assert sum(count for _, count in went) >= rate * 59 - 1
        current, count, _ = pace.take(current, now + 3600, 10_000)
        assert count == max(1, int(rate * pace.BURST_SECONDS))


def test_a_wish_of_a_busy_receiver_is_kept() -> None:
    current = pace.busy(Pace(), 10.0, 90.0, 1.0)
    assert pace.take(current, 99.0, 5)[1:] == (0, 1.0)
    assert pace.take(current, 100.0, 5)[1] == 1


def test_a_busy_receiver_that_wishes_nothing_is_left_alone_for_longer_each_time() -> None:
    current, now, pauses = Pace(), 10.0, []
    for _ in range(7):
        current = pace.busy(current, now, None, 1.0)
        pauses.append(current.paused_until - now)
        now = current.paused_until
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    current = pace.busy(pace.delivered(current, now, 1), now, None, 1.0)
    assert current.paused_until - now == 1


def test_several_refusals_at_once_are_one_pause_and_lower_the_rate_once() -> None:
    once = pace.busy(Pace(limit=100.0), 10.0, 5.0, 1.0)
    twice = pace.busy(once, 10.1, 6.0, 1.0)
    assert twice == msgspec.structs.replace(once, paused_until=16.1)


def test_a_rate_is_learned_from_what_was_taken_and_never_above_the_configured_one() -> None:
    current, _, _ = pace.take(Pace(), 100.0, 8)
    current = pace.busy(pace.delivered(current, 100.0, 5), 100.0, 1.0, 1.0)
    assert current.rate == pytest.approx(5.0)
    assert msgspec.structs.replace(current, limit=2.0).rate == 2.0


def test_a_refusal_lowers_a_rate_by_a_bounded_part_and_events_that_get_through_raise_it_slowly() -> None:
    current = Pace(learned=100.0, since=0.0, taken=1, at=999.0)
    assert pace.busy(current, 1000.0, 1.0, 1.0).learned == 50.0
    assert pace.busy(msgspec.structs.replace(current, taken=10**6), 1000.0, 1.0, 1.0).learned == 85.0
    assert pace.delivered(current, 1000.0, 1).learned == pytest.approx(101.0)
    soon = msgspec.structs.replace(current, grown_at=999.9)
    assert pace.delivered(soon, 1000.0, 100).learned == pytest.approx(100.5)


def test_what_was_taken_long_ago_says_nothing_of_a_rate() -> None:
    current = pace.delivered(pace.take(Pace(), 100.0, 3)[0], 100.0, 3)
    current = pace.take(current, 5000.0, 9)[0]
    assert pace.busy(pace.delivered(current, 5000.0, 9), 5000.0, 1.0, 1.0).learned == pytest.approx(9.0)


def test_after_nothing_got_through_one_event_at_a_time_goes_until_one_does() -> None:
    current = pace.nothing_through(Pace(), 10.0, 1.0)
    assert pace.take(current, 10.5, 50)[1:] == (0, 0.5)
    current, count, _ = pace.take(current, 11.0, 50)
    assert count == 1
    current = pace.nothing_through(current, 11.0, 1.0)
    assert pace.take(current, 13.0, 50)[1] == 1
    assert pace.take(pace.delivered(current, 13.0, 1), 13.0, 50)[1] == 50


def test_pauses_while_nothing_gets_through_grow_to_half_a_minute_and_not_further() -> None:
    current, now = Pace(), 0.0
    for _ in range(100):
        current = pace.nothing_through(current, now, 1.0)
        assert 0 < current.paused_until - now <= pace.MAX_ABSENCE_SECONDS
        now = current.paused_until
    assert now > 2800


def fixed(number: int, seconds: float) -> Callable[[float], bool]:
    """A receiver that takes so many requests in each so many seconds."""
    taken: dict[int, int] = {}

    def takes(now: float) -> bool:
        window = int(now / seconds)
        taken[window] = taken.get(window, 0) + 1
        return taken[window] <= number

    return takes


def sliding(number: int, seconds: float) -> Callable[[float], bool]:
    """A receiver that takes so many requests in any so many seconds."""
    taken: deque[float] = deque()

    def takes(now: float) -> bool:
        while taken and taken[0] <= now - seconds:
            taken.popleft()
        if len(taken) < number:
            taken.append(now)
            return True
        return False

    return takes


@pytest.mark.parametrize("window", [fixed, sliding])
@pytest.mark.parametrize(
    ("number", "seconds", "asked"), [(5, 1.0, 1.0), (5, 1.0, None), (2, 1.0, 1.0), (100, 1.0, 1.0), (60, 60.0, 30.0)]
)
def test_a_receiver_with_a_rate_of_its_own_is_asked_little_more_often_than_it_takes(
    window: Callable[[int, float], Callable[[float], bool]], number: int, seconds: float, asked: float | None
) -> None:
    """Three thousand events, at first eight requests at once; a request takes 5 milliseconds."""
    takes, current, now, left, requests = window(number, seconds), Pace(), 0.0, 3000, 0
    while left:
        current, count, wait = pace.take(current, now, min(64, left))
        if not count:
            now += wait
            continue
        done = refused = 0
        while done + refused < count and not refused:
            now += 0.005
            answers = [takes(now) for _ in range(min(8, count - done))]
            done, refused, requests = done + sum(answers), answers.count(False), requests + len(answers)
        left -= done
        if done:
            current = pace.delivered(current, now, done)
        if refused:
            current = pace.busy(current, now, asked, 1.0)
    assert requests <= 1.1 * 3000
    assert now <= 1.6 * 3000 * seconds / number
