"""A relay whose receiver is slow or away, by a clock that moves when the relay waits."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator

import pytest

from target_eventgen.delivery import registration, status
from target_eventgen.publishers.cloudevent import CloudEvent
from target_eventgen.publishers.protocol import Delivered, Failed, Outcome
from tests.support.clocks import HeldClock
from tests.support.relaying import EMPTY, Outbox, Receiver, in_order
from tests.support.waiting import wait_until

AWAY = Failed("the receiver answered 503", cause="away")
BUSY = Failed("the receiver answered 429", retry_after=90.0, cause="busy")


@pytest.fixture
def clock(database: str) -> Iterator[HeldClock]:
    with HeldClock(database) as held:
        yield held


@pytest.fixture
def outbox(database: str) -> Outbox:
    return Outbox(database)


def timed(
    clock: HeldClock, answer: Callable[[float, CloudEvent], Outcome], most: int = 100
) -> tuple[Receiver, list[float]]:
    """A receiver that answers by the time, and the times at which it was asked."""
    asked: list[float] = []

    def answered(event: CloudEvent) -> Outcome:
        asked.append(clock.now())
        return answer(clock.now(), event)

    return Receiver(answer=answered, most=most), asked


def test_while_a_receiver_is_busy_no_key_is_tried_and_no_event_is_blamed(outbox: Outbox, clock: HeldClock) -> None:
    receiver, asked = timed(clock, lambda now, _: Delivered() if now >= 90 else BUSY, most=1)
    wanted = receiver.delivery(workers=1, max_attempts=1)
    outbox.announce(wanted)
    outbox.add(keys=20, each=3)
    (result,) = outbox.drain(wanted, clock=clock, patience=1e9)
    assert (result.delivered, result.dead, result.left) == (60, 0, 0)
    assert (asked[0], [each for each in asked[1:] if each < 90]) == (0, [])
    in_order(receiver.got)
    assert outbox.marks() == EMPTY


def test_another_relay_keeps_the_pause_that_a_receiver_asked_for(outbox: Outbox, clock: HeldClock) -> None:
    receiver, asked = timed(clock, lambda now, _: Delivered() if now >= 90 else BUSY)
    wanted = receiver.delivery(workers=1)
    outbox.announce(wanted)
    outbox.add(keys=5)
    (result,) = outbox.drain(wanted, clock=clock)
    assert (result.left, result.reason, clock.now() < 90) == (5, BUSY.reason, True)
    (paused,) = status.read(outbox.url).publishers
    assert paused.pause_reason == BUSY.reason
    assert paused.paused_seconds == pytest.approx(90, abs=1)
    assert f"pauses for {paused.paused_seconds:.0f} s: the receiver answered 429" in status.text(
        status.read(outbox.url)
    )
    (result,) = outbox.drain(wanted, clock=clock)
    assert (result.left, result.reason, len(asked)) == (5, BUSY.reason, 5)
    (result,) = outbox.drain(wanted, clock=clock, patience=1e9)
    assert (result.delivered, min(asked[5:]) >= 90) == (5, True)
    assert status.read(outbox.url).publishers[0].paused_seconds is None


@pytest.mark.parametrize("hours", [0.1, 3.0])
def test_an_outage_of_any_length_makes_no_dead_letter(outbox: Outbox, clock: HeldClock, hours: float) -> None:
    until = hours * 3600
    receiver, asked = timed(clock, lambda now, _: Delivered() if now >= until else AWAY, most=10)
    wanted = receiver.delivery(workers=1, max_attempts=1)
    outbox.announce(wanted)
    outbox.add(keys=30, each=3)
    (result,) = outbox.drain(wanted, clock=clock, patience=1e9)
    assert (result.delivered, result.dead) == (90, 0)
    assert outbox.query("select count(*) from eventgen.blocked") == [(0,)]
    assert len([each for each in asked if each < until]) <= 10 + until / 15 + 10  # it is probed, not stormed
    in_order(receiver.got)


def test_one_event_that_is_never_taken_starves_no_other_and_dies_once_they_pass(
    outbox: Outbox, clock: HeldClock
) -> None:
    receiver, _ = timed(clock, lambda _, event: AWAY if event.id == "orders-1-1" else Delivered(), most=1)
    wanted = receiver.delivery(workers=1, max_attempts=1)
    outbox.announce(wanted)
    outbox.add(keys=20, each=5)
    (result,) = outbox.drain(wanted, clock=clock, patience=1e9)
    assert (result.delivered, result.dead) == (95, 1)
    assert clock.now() < 60
    in_order(receiver.got)


def test_an_event_that_is_tried_alone_is_blamed_where_others_passed_since_it_failed(
    outbox: Outbox, clock: HeldClock
) -> None:
    receiver, asked = timed(clock, lambda _, event: AWAY if event.id == "orders-1-1" else Delivered(), most=1)
    wanted = receiver.delivery(workers=1, max_attempts=3)
    outbox.announce(wanted)
    outbox.add(keys=2)
    outbox.drain(wanted, clock=clock, patience=100)
    assert outbox.query("select attempts from eventgen.blocked") == [(1,)]
    assert len(asked) > 3  # it went on alone, and that counted as nothing
    outbox.query("update eventgen.blocked set due_at = due_at + interval '1 hour'")
    outbox.add(stream="others")
    outbox.drain(wanted, clock=clock, patience=0)
    clock.advance(4000)
    before = len(asked)
    outbox.drain(wanted, clock=clock, patience=0)
    assert len(asked) == before + 1
    assert outbox.query("select attempts from eventgen.blocked") == [(2,)]


def test_one_event_to_which_the_receiver_is_always_busy_starves_no_other(outbox: Outbox, clock: HeldClock) -> None:
    receiver, _ = timed(clock, lambda _, event: BUSY if event.id == "orders-1-1" else Delivered(), most=1)
    wanted = receiver.delivery(workers=1, max_attempts=1)
    outbox.announce(wanted)
    outbox.add(keys=20, each=5)
    (result,) = outbox.drain(wanted, clock=clock, patience=3600)
    assert (result.delivered, result.dead, result.left) == (95, 0, 5)
    in_order(receiver.got)


def test_a_publisher_of_code_before_this_one_pauses_too(outbox: Outbox, clock: HeldClock) -> None:
    receiver, asked = timed(clock, lambda now, _: Delivered() if now >= 90 else BUSY)
    wanted = receiver.delivery(workers=1)
    outbox.announce(wanted)
    added = ("off_at", "off_reason", "paused_until", "pause_reason", "address", "source")
    outbox.query(f"alter table eventgen.publishers {', '.join(f'drop column {name}' for name in added)}")
    outbox.add(keys=3)
    (result,) = outbox.drain(wanted, clock=clock, patience=1e9)
    assert (result.delivered, asked[3] >= 90) == (3, True)


def test_a_publisher_whose_receiver_is_gone_is_switched_off_until_a_person_switches_it_on(
    outbox: Outbox, clock: HeldClock, caplog: pytest.LogCaptureFixture
) -> None:
    gone = Failed("the receiver answered 410", cause="gone")
    receiver, asked = timed(clock, lambda *_: gone if len(asked) < 4 else Delivered(), most=1)
    wanted = receiver.delivery(workers=1, max_attempts=1)
    outbox.announce(wanted)
    outbox.add(keys=5, each=2)
    for _ in range(2):
        (result,) = outbox.drain(wanted, clock=clock)
        assert (result.dead, result.left, len(asked)) == (0, 10, 1)
        assert "publishers on test" in result.reason
    assert "is switched off: the receiver answered 410" in caplog.text
    outbox.add(mark="later")
    (seen,) = status.read(outbox.url).publishers
    assert (seen.backlog, seen.off_reason) == (11, gone.reason)
    assert "switched off 0 s ago: the receiver answered 410" in status.text(status.read(outbox.url))
    asked.extend([0.0] * 4)
    assert registration.switch_on(outbox.url, "test")
    assert not registration.switch_on(outbox.url, "test")
    assert status.read(outbox.url).publishers[0].off_reason is None
    assert outbox.drain(wanted, clock=clock)[0].delivered == 11
    in_order(receiver.got)


def test_a_relay_that_follows_goes_on_once_a_person_has_switched_its_publisher_on(outbox: Outbox) -> None:
    gone = threading.Event()
    receiver = Receiver(answer=lambda _: Delivered() if gone.is_set() else Failed("gone", cause="gone"))
    outbox.announce(receiver.delivery())
    outbox.add(keys=3)
    with outbox.following(receiver.delivery()):
        wait_until(lambda: status.read(outbox.url).publishers[0].off_reason == "gone", what="a publisher that is off")
        gone.set()
        registration.switch_on(outbox.url, "test")
        wait_until(lambda: len(receiver.got) == 3, what="three deliveries")


def test_a_pause_that_the_receiver_asked_for_can_be_ended_by_a_person(outbox: Outbox, clock: HeldClock) -> None:
    receiver, asked = timed(clock, lambda now, _: BUSY if now < 5 else Delivered(), most=1)
    wanted = receiver.delivery(workers=1)
    outbox.announce(wanted)
    outbox.add()
    outbox.drain(wanted, clock=clock, patience=0)
    clock.advance(10)
    registration.switch_on(outbox.url, "test")
    outbox.drain(wanted, clock=clock, patience=0)
    assert asked == [0.0, pytest.approx(10, abs=0.1)]


def test_a_rate_limit_is_kept_by_all_workers_together(outbox: Outbox, clock: HeldClock) -> None:
    receiver, asked = timed(clock, lambda *_: Delivered())
    wanted = receiver.delivery(workers=1, rate_limit=20.0)
    outbox.announce(wanted)
    outbox.add(keys=20, each=10)
    outbox.drain(wanted, clock=clock)
    assert len(receiver.ids) == 200
    assert 9.5 <= asked[-1] - asked[0] <= 12
    assert all(sum(start <= each < start + 1 for each in asked) <= 23 for start in range(12))
    in_order(receiver.got)


def test_an_event_is_tried_by_its_schedule(outbox: Outbox, clock: HeldClock) -> None:
    receiver, asked = timed(clock, lambda *_: Failed("no"))
    wanted = receiver.delivery(workers=1, delays=(5.0, 300.0), max_attempts=3)
    outbox.announce(wanted)
    outbox.add()
    (result,) = outbox.drain(wanted, clock=clock, patience=1e9)
    assert result.dead == 1
    assert [later - earlier for earlier, later in itertools.pairwise(asked)] == [
        pytest.approx(5, rel=0.11, abs=0.1),
        pytest.approx(300, rel=0.11),
    ]
