"""The waves in which events go to a receiver that acknowledges each."""

from __future__ import annotations

import pytest

from target_eventgen.errors import UnreachableError
from target_eventgen.publishers.cloudevent import CloudEvent, Origin
from target_eventgen.publishers.destination import check, destination, holds_separator, placed
from target_eventgen.publishers.protocol import Delivered, Failed, Outcome
from target_eventgen.publishers.waves import CALL_SECONDS, NOT_SENT, TOO_LATE, in_waves, sent_where_placed, waves
from tests.support.messages import event

pytestmark = pytest.mark.pure

REFUSED = Failed("it is too large", permanent=True)


def keys(text: str) -> list[CloudEvent]:
    """One event a letter, which is its key."""
    return [event(place, key=letter) for place, letter in enumerate(text)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", []),
        ("abc", [[0, 1, 2]]),
        ("aab", [[0, 2], [1]]),
        ("abab", [[0, 1], [2, 3]]),
        ("aaa", [[0], [1], [2]]),
        ("baacab", [[0, 1, 3], [2, 5], [4]]),
    ],
)
def test_a_wave_has_one_event_of_a_key_and_as_many_keys_as_there_are(given: str, expected: list[list[int]]) -> None:
    assert waves(keys(given)) == expected


class Receiver:
    """Refuses the events of some places, and can't be reached from some wave on."""

    def __init__(self, refused: set[int], gone_from: int = 99) -> None:
        self.refused = refused
        self.gone_from = gone_from
        self.taken: list[int] = []
        self.calls = 0

    def send(self, wave: list[CloudEvent]) -> list[Outcome]:
        self.calls += 1
        if self.calls > self.gone_from:
            raise UnreachableError("it is away")
        places = [int(one.sequence) for one in wave]
        self.taken += [place for place in places if place not in self.refused]
        return [REFUSED if place in self.refused else Delivered() for place in places]


def test_what_follows_a_refused_event_of_its_key_is_not_sent() -> None:
    receiver = Receiver(refused={1})
    outcomes = in_waves(keys("abbbac"), receiver.send)
    assert outcomes == [Delivered(), REFUSED, NOT_SENT, NOT_SENT, Delivered(), Delivered()]
    assert sorted(receiver.taken) == [0, 4, 5]


def test_a_receiver_that_is_away_from_the_start_is_unreachable() -> None:
    with pytest.raises(UnreachableError):
        in_waves(keys("ab"), Receiver(set(), gone_from=0).send)


def test_what_was_acknowledged_counts_though_the_receiver_goes_away_then() -> None:
    receiver = Receiver(set(), gone_from=1)
    outcomes = in_waves(keys("abaa"), receiver.send)
    assert outcomes == [Delivered(), Delivered(), Failed("it is away", cause="away"), NOT_SENT]
    assert receiver.calls == 2


def test_a_call_that_takes_too_long_sends_no_further_wave() -> None:
    receiver = Receiver(set())
    readings = iter([0.0, CALL_SECONDS - 1, CALL_SECONDS + 1])
    outcomes = in_waves(keys("abaaab"), receiver.send, lambda: next(readings))
    assert outcomes == [Delivered(), Delivered(), Delivered(), TOO_LATE, NOT_SENT, Delivered()]
    assert receiver.calls == 2


def test_a_destination_contains_the_events_type() -> None:
    assert destination("events.{type}.v1", event(1, type_="order.paid")) == "events.order.paid.v1"


def row(key: str = '{"id": 7, "region": "eu", "no": null, "empty": ""}') -> CloudEvent:
    """An event of the stream orders, whose row has this key."""
    found = event(1, type_="order.paid")
    found.__dict__["origin"] = Origin("orders", key)
    return found


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("plain", "plain"),
        ("{type}", "order.paid"),
        ("{stream}.{key.region}.{key.id}", "orders.eu.7"),
        ("{source}-{type}", "target-eventgen/tests-order.paid"),
    ],
)
def test_a_destination_contains_stream_source_and_parts_of_the_key(template: str, name: str) -> None:
    check("topic", template)
    assert destination(template, row()) == name


@pytest.mark.parametrize("part", ["{key.no}", "{key.empty}", "{key.other}"])
def test_an_event_without_a_part_has_no_destination_and_is_refused_without_its_values(part: str) -> None:
    found = placed("topic", f"a.{part}", row())
    assert found == Failed(
        f"its topic needs {part} of a.{part}, which the event doesn't have, or which is empty", permanent=True
    )
    assert isinstance(placed("topic", "{stream}", event(1)), Failed)


def test_a_part_of_a_key_with_the_separator_would_be_another_destination() -> None:
    assert holds_separator("a.{key.id}", row('{"id": "x.y"}'), ".")
    assert not holds_separator("a.{key.id}", row('{"id": "x", "other": "y.z"}'), ".")
    assert not holds_separator("{type}", row(), ".")


def test_what_has_no_place_is_refused_and_the_others_are_sent_in_order() -> None:
    events = keys("abc")
    sent: list[tuple[str, str]] = []

    def send(given: list[CloudEvent], names: list[str]) -> list[Outcome]:
        sent.extend((one.subject, name) for one, name in zip(given, names, strict=True))
        return [Delivered()] * len(given)

    refused = Failed("no place", permanent=True)
    found = sent_where_placed(events, lambda one: refused if one is events[1] else "there", send)
    assert found == [Delivered(), refused, Delivered()]
    assert sent == [(events[0].subject, "there"), (events[2].subject, "there")]
    assert sent_where_placed(events, lambda _: refused, send) == [refused] * 3


@pytest.mark.parametrize(
    "template", ["", "  ", "a.{kind}", "a.{key.}", "a.{key}", "a.{}", "a.{type", "a.type}", "{{type}}"]
)
def test_a_destination_that_no_event_could_have_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        check("subject", template)
