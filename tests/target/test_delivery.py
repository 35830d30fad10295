"""What the relay decides, without a relay."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from target_eventgen.delivery import decisions
from target_eventgen.delivery.decisions import Again, Dead, Done, Halt, Item, Judgement
from target_eventgen.model import routes
from target_eventgen.publishers.cloudevent import CloudEvent
from target_eventgen.publishers.protocol import Delivered, Failed, Outcome

pytestmark = pytest.mark.pure


def item(key: str, sequence: int, attempts: int = 0) -> Item:
    event = CloudEvent(
        id=f"{key}{sequence}",
        source="test",
        type="changed",
        subject=key,
        partitionkey=key,
        sequence=str(sequence),
        data=msgspec.Raw(b"{}"),
    )
    return Item(event, sequence, 0, attempts)


def items(text: str) -> list[Item]:
    """`aab` is two events of the key a and one of b."""
    return [item(key, sequence) for sequence, key in enumerate(text)]


def keys(found: list[Item]) -> str:
    return "".join(each.key for each in found)


@pytest.mark.parametrize(
    ("given", "stopped", "ordered", "most", "call", "rest"),
    [
        ("aabc", "", True, 9, "aabc", ""),
        ("aabc", "", True, 2, "aa", "bc"),
        ("aabcb", "", False, 9, "abc", "ab"),
        ("aabcb", "", False, 1, "a", "abcb"),
        ("aabcb", "a", False, 9, "bc", "b"),
        ("aaa", "a", True, 9, "", ""),
        ("", "", True, 9, "", ""),
    ],
)
def test_a_call_has_one_event_a_key_unless_the_publisher_keeps_order(  # noqa: PLR0917
    given: str,
    stopped: str,
    ordered: int,
    most: int,
    call: str,
    rest: str,
) -> None:
    found = decisions.next_call(items(given), set(stopped), ordered=bool(ordered), most=most)
    assert (keys(found[0]), keys(found[1])) == (call, rest)


def test_no_event_of_a_key_overtakes_another_between_calls() -> None:
    left, given = items("abacabadabacaba"), []
    while left:
        call, left = decisions.next_call(left, set(), ordered=False, most=2)
        given += call
    for key in "abcd":
        sequences = [each.sequence for each in given if each.key == key]
        assert sequences == sorted(sequences)
    assert len(given) == 15


def judgement(call: list[Item], outcomes: list[Outcome], **options: Any) -> Judgement:
    return decisions.judge(call, outcomes, **{"max_attempts": 3, "waits": True, "chance": 1.0, **options})


def judged(call: list[Item], outcomes: list[Outcome], **options: Any) -> tuple[list[Any], set[str]]:
    found = judgement(call, outcomes, **options)
    assert found.halt is None
    return list(found.verdicts), found.stopped


def test_what_comes_after_a_failure_has_no_verdict_and_its_key_is_stopped() -> None:
    call = items("aab")
    verdicts, stopped = judged(call, [Failed("no"), Failed("behind"), Delivered()])
    assert verdicts == [Again(call[0], 1, 1.0, "no"), Done(call[2])]
    assert stopped == {"a"}


@pytest.mark.parametrize("waits", [True, False])
def test_a_key_is_stopped_after_a_dead_event_where_it_waits_or_where_more_of_it_was_in_the_call(*, waits: bool) -> None:
    (lone,) = items("a")
    assert judged([lone], [Failed("no", permanent=True)], waits=waits) == (
        [Dead(lone, 1, "no")],
        {"a"} if waits else set(),
    )
    call = items("aa")
    assert judged(call, [Failed("no", permanent=True), Failed("behind")], waits=waits)[1] == {"a"}


def test_a_key_is_stopped_after_a_lone_failure() -> None:
    assert judged(items("ab"), [Failed("no"), Delivered()])[1] == {"a"}


def test_the_last_attempt_makes_a_dead_event() -> None:
    assert judged([item("a", 1, attempts=1)], [Failed("no")])[0][0].attempts == 2
    assert isinstance(judged([item("a", 1, attempts=1)], [Failed("no")])[0][0], Again)
    assert isinstance(judged([item("a", 1, attempts=2)], [Failed("no")])[0][0], Dead)


def test_an_attempt_is_never_earlier_than_the_receiver_wants_it() -> None:
    assert judged([item("a", 1)], [Failed("no", retry_after=90)])[0][0].delay == 90
    assert judged([item("a", 1)], [Failed("no", retry_after=0.1)])[0][0].delay == 1.0


AWAY = Failed("the receiver answered 503", cause="away")
BUSY = Failed("the receiver answered 429", retry_after=7.0, cause="busy")


def test_a_busy_receiver_is_no_attempt_of_any_event_and_the_publisher_pauses() -> None:
    call = items("aabc")
    found = judgement(call, [BUSY, Failed("behind", cause="unsent"), Delivered(), BUSY], max_attempts=1)
    assert found.verdicts == [Done(call[2])]
    assert (found.stopped, found.refused) == ({"a", "c"}, {"a", "c"})
    assert found.halt == Halt("busy", "the receiver answered 429", 7.0)


def test_the_longest_wish_of_a_busy_receiver_counts() -> None:
    outcomes: list[Outcome] = [AWAY, BUSY, Failed("429", retry_after=9.0, cause="busy"), Failed("429", cause="busy")]
    found = judgement(items("abcd"), outcomes)
    assert (found.halt, found.verdicts) == (Halt("busy", "429", 9.0), [])


def test_a_receiver_that_is_gone_is_no_attempt_of_any_event_and_that_counts_most() -> None:
    gone = Failed("the receiver answered 410", cause="gone")
    found = judgement(items("abcd"), [gone, BUSY, Delivered(), AWAY], max_attempts=2)
    assert found.halt == Halt("gone", gone.reason)
    assert [type(each) for each in found.verdicts] == [Done, Again]


def test_while_nothing_gets_through_no_attempt_is_counted() -> None:
    found = judgement([item("a", 1, attempts=2), item("b", 2)], [AWAY, AWAY])
    assert found == Judgement([], {"a", "b"}, Halt("away", AWAY.reason), {"a", "b"}, 0)


@pytest.mark.parametrize("how", ["in the same call", "earlier in the turn", "since it failed"])
def test_an_event_that_fails_while_others_get_through_is_blamed(how: str) -> None:
    one = msgspec.structs.replace(item("a", 1, attempts=2), passed=how == "since it failed")
    call = [one, item("b", 2)]
    outcomes: list[Outcome] = [AWAY, Delivered()]
    if how != "in the same call":
        call, outcomes = call[:1], outcomes[:1]
    assert judged(call, outcomes, through=how == "earlier in the turn")[0][0] == Dead(one, 3, AWAY.reason)


def test_a_lone_failure_about_an_event_is_an_attempt_but_not_while_it_is_tried_whether_anything_gets_through() -> None:
    (lone,) = items("a")
    assert judged([lone], [Failed("no")])[0] == [Again(lone, 1, 1.0, "no")]
    assert judgement([lone], [Failed("no")], probing=True).verdicts == []
    assert judgement([lone], [Failed("no", permanent=True)], probing=True).verdicts == [Dead(lone, 1, "no")]


@pytest.mark.parametrize("number", [decisions.FAILING_KEYS, decisions.FAILING_KEYS - 1])
def test_where_many_keys_fail_and_nothing_gets_through_it_is_the_receiver_whatever_it_answers(number: int) -> None:
    call = [item(f"key{n}", n) for n in range(number)]
    found = judgement(call, [Failed("the receiver answered 500")] * number)
    assert (len(found.verdicts), found.halt is None) == ((0, False) if number >= decisions.FAILING_KEYS else (9, True))
    refused = judgement(call, [Failed("no such thing", permanent=True)] * number)
    assert len(refused.verdicts) == number


def test_an_event_that_was_not_sent_is_not_blamed_and_its_key_stops() -> None:
    call = items("abb")
    found = judgement(call, [Delivered(), Failed("too late", cause="unsent"), Failed("too late", cause="unsent")])
    assert found == Judgement([Done(call[0])], {"b"}, None, set(), 2)


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 1.0), (1.0, 1.1)])
def test_a_schedule_has_the_delay_of_each_attempt_and_never_less(chance: float, factor: float) -> None:
    for attempts, delay in enumerate((5.0, 300.0)):
        (verdict,), _ = judged([item("a", 1, attempts)], [Failed("no")], delays=(5.0, 300.0), chance=chance)
        assert verdict.delay == pytest.approx(delay * factor)
    assert isinstance(judged([item("a", 1, 2)], [Failed("no")], delays=(5.0, 300.0))[0][0], Dead)


def test_a_reason_is_made_storable_and_a_wish_is_bounded() -> None:
    (verdict,), _ = judged([item("a", 1)], [Failed("torn\0\nhere \ud800" + "x" * 9999, retry_after=float("inf"))])
    assert verdict.reason.startswith("torn here ?x")
    assert len(verdict.reason) == decisions.MAX_REASON_CHARACTERS
    assert verdict.delay == decisions.MAX_RETRY_AFTER_SECONDS


def test_pauses_double_up_to_a_limit_and_are_spread() -> None:
    assert [decisions.pause(failures, 1.0) for failures in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert decisions.pause(10_000, 1.0) == decisions.MAX_PAUSE_SECONDS
    assert decisions.pause(3, 0.0) == 2.0


@pytest.mark.parametrize(
    ("slots", "full", "slow", "after"),
    [
        (64, True, True, 32),
        (1, True, True, 1),
        (64, True, False, 32),
        (8, True, False, 8),
        (1, True, False, 2),
        (8, False, True, 16),
        (64, False, False, 64),
    ],
)
def test_full_turns_leave_slots_to_others_and_small_ones_take_more(
    slots: int, after: int, *, full: bool, slow: bool
) -> None:
    assert decisions.share(slots, full=full, slow=slow) == after


# -- routes -----------------------------------------------------------------------------------------------------------


def test_a_publisher_of_few_words_gets_everything_from_the_beginning() -> None:
    ((route,), faults) = routes.parse([{"type": "file", "path": "x"}])
    assert faults == []
    assert (route.name, route.kind, route.types, route.streams, dict(route.given)) == (
        "file",
        "file",
        None,
        None,
        {"path": "x"},
    )
    assert (route.from_beginning, route.waits, route.max_attempts) == (True, True, routes.MAX_ATTEMPTS)


@pytest.mark.parametrize(
    ("names", "patterns"),
    [(None, None), (["*"], None), (["a", "*"], None), (["order.*"], ("order.%",)), (["a_b%c\\"], ("a\\_b\\%c\\\\",))],
)
def test_only_the_star_stands_for_something_else(names: list[str] | None, patterns: tuple[str, ...] | None) -> None:
    assert routes.patterns(names) == patterns


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("file", "publishers[0] must be an object"),
        ({}, "publishers[0].type must be"),
        ({"type": "file", "name": " "}, "publishers[0].name must be"),
        ({"type": "file", "events": "order.paid"}, "publishers[0].events must be a list"),
        ({"type": "file", "streams": []}, "publishers[0].streams must be a list"),
        ({"type": "file", "start": "yesterday"}, "publishers[0].start must be beginning or now"),
        ({"type": "file", "after_dead_letter": "stop"}, "publishers[0].after_dead_letter must be wait or pass"),
        ({"type": "file", "max_attempts": 0}, "publishers[0].max_attempts must be a number from 1"),
        ({"type": "file", "workers": 33}, "publishers[0].workers must be a number from 1 to 32"),
        ({"type": "file", "workers": True}, "publishers[0].workers must be"),
        ({"type": "file", "rate_limit": 0}, "publishers[0].rate_limit must be a number greater than 0"),
        ({"type": "file", "rate_limit": True}, "publishers[0].rate_limit must be"),
        ({"type": "file", "rate_limit": "5/s"}, "publishers[0].rate_limit must be"),
        (
            {"type": "file", "schedule": []},
            "publishers[0].schedule must be standard_webhooks, or a list of the seconds",
        ),
        ({"type": "file", "schedule": [1, 0]}, "publishers[0].schedule must be"),
        ({"type": "file", "schedule": [1, 1e9]}, "publishers[0].schedule must be"),
        ({"type": "file", "schedule": "daily"}, "publishers[0].schedule must be"),
        (
            {"type": "file", "schedule": [1], "max_attempts": 3},
            "publishers[0]: schedule and max_attempts are both given",
        ),
    ],
)
def test_each_fault_of_a_publisher_is_named_with_its_place(entry: Any, fault: str) -> None:
    found, (said,) = routes.parse([entry])
    assert found == ()
    assert said.startswith(fault)


def test_a_schedule_is_one_attempt_more_than_its_delays_and_the_named_one_takes_three_days() -> None:
    routed, faults = routes.parse(
        [
            {"type": "file", "schedule": [1, 2.5]},
            {"type": "file", "name": "b", "schedule": "standard_webhooks", "rate_limit": 5},
        ]
    )
    assert faults == []
    assert (routed[0].delays, routed[0].max_attempts, routed[0].rate_limit) == ((1.0, 2.5), 3, None)
    assert (routed[1].max_attempts, routed[1].rate_limit) == (10, 5)
    assert routed[1].delays is not None
    assert sum(routed[1].delays) == 75 * 3600 + 35 * 60 + 5  # the specification's "time since start" of the last


def test_two_publishers_can_not_have_one_name() -> None:
    _, faults = routes.parse([{"type": "file"}, {"type": "webhook", "name": "file"}])
    assert faults == ['two publishers have the name "file": give each a name of its own']


def test_secrets_come_from_the_environment_or_from_the_secret_setting() -> None:
    given = {"type": "x", "a": {"env": "A"}, "b": [{"secret": "b"}], "c": {"d": {"secret": "b"}, "env": "kept"}}
    ((route,), _) = routes.parse([given])
    assert routes.with_secrets(route, {"A": "1"}, {"b": "2"}) == (
        {"a": "1", "b": ["2"], "c": {"d": "2", "env": "kept"}},
        [],
    )
    _, faults = routes.with_secrets(route, {}, {"bb": "2"})
    assert faults[0] == 'the publisher "x": the environment has no variable "A"'
    assert faults[1].startswith('the publisher "x": publisher_secrets has no entry "b"')
