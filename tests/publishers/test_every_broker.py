"""What holds of every publisher to a broker, with the real one behind a proxy that misbehaves."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from target_eventgen.errors import SettingsError, UnreachableError
from target_eventgen.publishers.protocol import Delivered
from tests.support.delivering import deliver, expected, firsts, fresh, of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_eventgen.publishers.protocol import Publisher
    from tests.support.rigs import Rig

LONG = 30.0
"""Seconds within which a call ends whose publisher waits a second or two for an answer."""


@pytest.fixture
def publisher(rig: Rig) -> Iterator[Publisher]:
    found = rig.open()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def patient(rig: Rig) -> Iterator[Publisher]:
    """One whose first call is to do: its answer may take a moment on a busy machine."""
    found = rig.open(timeout=30.0)
    try:
        yield found
    finally:
        found.close()


def unreachable(publisher: Publisher, rig: Rig) -> str:
    """A call that fails as it should, within its time."""
    began = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        publisher.publish(fresh(3))
    assert time.monotonic() - began < LONG
    assert "receiver" in str(caught.value)
    assert rig.proxy.port
    return str(caught.value)


def test_every_event_is_acknowledged_and_each_keys_arrive_in_order(rig: Rig, patient: Publisher) -> None:
    events = fresh(100)
    assert set(patient.publish(events)) == {Delivered()}
    assert firsts(of(events, rig.received())) == expected(events)
    assert len(of(events, rig.received())) == len(events)


def test_many_keys_go_in_one_wave(rig: Rig, patient: Publisher) -> None:
    events = fresh(500, keys=500)
    assert patient.publish(events) == [Delivered()] * 500
    assert len(of(events, rig.received())) == 500


def test_large_events_arrive_whole(rig: Rig, publisher: Publisher) -> None:
    events = fresh(3, size=200_000)
    assert deliver(publisher, events) >= 1
    assert firsts(of(events, rig.received())) == expected(events)


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_a_payload_of_the_receivers_own_form_is_what_arrives(rig: Rig, mode: str) -> None:
    template = {"id": "{id}", "partitionkey": "{key|}{partitionkey}", "sequence": "{data.new.number}"}
    events = fresh(5)
    with closing(rig.open(timeout=30.0, mode=mode, payload=template)) as publisher:
        assert set(publisher.publish(events)) == {Delivered()}
    assert firsts(of(events, rig.received())) == expected(events)
    with pytest.raises(SettingsError, match=r"payload.id has \{ident\}"):
        rig.open(payload={"id": "{ident}"})


def test_a_broker_that_is_away_is_unreachable_and_is_found_again(rig: Rig, publisher: Publisher) -> None:
    deliver(publisher, fresh(1))
    rig.proxy.down()
    try:
        unreachable(publisher, rig)
        unreachable(publisher, rig)
    finally:
        rig.proxy.up()
    events = fresh(10)
    deliver(publisher, events)
    assert firsts(of(events, rig.received())) == expected(events)


def test_what_could_not_be_sent_is_not_sent_later(rig: Rig, publisher: Publisher) -> None:
    deliver(publisher, fresh(1))
    rig.proxy.down()
    lost = fresh(10)
    try:
        with pytest.raises(UnreachableError):
            publisher.publish(lost)
    finally:
        rig.proxy.up()
    events = fresh(10)
    deliver(publisher, events)
    time.sleep(0.3)
    assert of(lost, rig.received()) == []


def test_a_connection_that_was_cut_while_idle_is_reopened_unnoticed(rig: Rig, patient: Publisher) -> None:
    patient.publish(fresh(1))
    rig.proxy.cut()
    time.sleep(0.1)
    events = fresh(10)
    assert set(patient.publish(events)) == {Delivered()}
    assert len(of(events, rig.received())) == 10


def test_after_a_lost_acknowledgement_the_same_ids_come_again_and_no_other(rig: Rig, publisher: Publisher) -> None:
    deliver(publisher, fresh(1))
    events = fresh(50)
    lost = rig.proxy.lose(rig.greetings)
    deliver(publisher, events)
    assert lost.is_set()
    found = of(events, rig.received())
    assert firsts(found) == expected(events)
    if rig.deduplicates:
        assert len(found) == len(events)
    if rig.repeats:
        assert len(found) > len(events)


def test_an_answer_that_does_not_come_ends_the_call_in_time(rig: Rig, publisher: Publisher) -> None:
    deliver(publisher, fresh(1))
    events = fresh(20)
    rig.proxy.hold()
    try:
        began = time.monotonic()
        with pytest.raises(UnreachableError):
            publisher.publish(events)
        assert time.monotonic() - began < LONG
    finally:
        rig.proxy.release()
    later = fresh(20)
    deliver(publisher, [*events, *later])
    found = of([*events, *later], rig.received())
    assert firsts(found) == expected([*events, *later])
    if rig.deduplicates:
        assert len(found) == 40


def test_slow_answers_are_waited_for(rig: Rig, publisher: Publisher) -> None:
    events = fresh(20)
    rig.proxy.delay = 0.02
    try:
        deliver(publisher, events)
    finally:
        rig.proxy.delay = 0.0
    assert firsts(of(events, rig.received())) == expected(events)


def test_a_broker_that_is_frozen_is_unreachable(rig: Rig, publisher: Publisher) -> None:
    deliver(publisher, fresh(1))
    rig.server.freeze()
    try:
        unreachable(publisher, rig)
    finally:
        rig.server.thaw()
    deliver(publisher, fresh(1))


def test_cuts_in_mid_run_lose_nothing_and_keep_each_keys_order(rig: Rig, publisher: Publisher) -> None:
    events = fresh(2000, keys=40)
    over = threading.Event()

    def cut() -> None:
        pause = rig.pause
        while not over.wait(pause):
            rig.proxy.cut()
            pause = min(5.0, pause * 1.1)  # a busy machine may need longer than that to deliver anything

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        for start in range(0, len(events), 100):
            deliver(publisher, events[start : start + 100])
    finally:
        over.set()
        thread.join()
    found = of(events, rig.received())
    assert firsts(found) == expected(events)
    if rig.deduplicates:
        assert len(found) == len(events)


def test_closing_twice_and_closing_what_was_never_used_is_fine(rig: Rig) -> None:
    publisher = rig.open()
    publisher.close()
    publisher.close()
