"""The guard as it is read, and how many events it allows, alone."""

from __future__ import annotations

from typing import Any

import pytest

from target_eventgen.model import settings
from target_eventgen.model.guard import Guard
from target_eventgen.model.rules import parse

pytestmark = pytest.mark.pure

RULE = {"type": "created", "stream": "orders", "on": "created"}


@pytest.mark.parametrize(
    ("guard", "rows", "allowed"),
    [
        (Guard(), 1000, None),
        (Guard(events_per_run=5), None, 5),
        (Guard(events_per_run=0), 1000, 0),
        (Guard(share_of_rows=0.2), 1000, 200),
        (Guard(share_of_rows=0.2), 1, 1),
        (Guard(share_of_rows=0.0), 1000, 0),
        (Guard(share_of_rows=0.2), 0, None),
        (Guard(share_of_rows=0.2), None, None),
        (Guard(events_per_run=50, share_of_rows=0.2), 1000, 50),
        (Guard(events_per_run=500, share_of_rows=0.2), 1000, 200),
        (Guard(events_per_run=500, share_of_rows=0.2), 0, 500),
    ],
)
def test_the_smaller_bound_counts_and_no_share_is_asked_of_an_empty_table(
    guard: Guard, rows: int | None, allowed: int | None
) -> None:
    assert guard.allows(rows) == allowed


def test_a_rule_has_its_own_guard_or_its_streams_or_that_of_all() -> None:
    given = settings.parse(
        {
            "guard": {"events_per_run": 9, "streams": {"orders": {"share_of_rows": 0.5}, "log_*": {}}},
            "events": [
                RULE,
                {**RULE, "type": "own", "guard": {"events_per_run": 3}},
                {**RULE, "type": "free", "guard": {}},
                {**RULE, "stream": "log_1"},
                {**RULE, "stream": "others"},
            ],
        }
    )
    assert [given.guard_of(rule) for rule in given.rules] == [
        Guard(share_of_rows=0.5),
        Guard(events_per_run=3),
        Guard(),
        Guard(),
        Guard(events_per_run=9),
    ]


def test_without_the_setting_nothing_is_bounded() -> None:
    given = settings.parse({"events": [RULE]})
    assert given.guard_of(given.rules[0]) == Guard()


def test_a_guard_is_no_part_of_what_an_event_id_is_made_of() -> None:
    (plain,), _ = parse([RULE])
    (guarded,), _ = parse([{**RULE, "guard": {"events_per_run": 3}}])
    assert guarded.definition == plain.definition


@pytest.mark.parametrize(
    ("guard", "said"),
    [
        ({"events_per_runs": 5}, 'guard has an unknown key "events_per_runs" (did you mean "events_per_run"?)'),
        ({"events_per_run": -1}, "guard.events_per_run must be an integer, 0 or more"),
        ({"events_per_run": True}, "guard.events_per_run must be an integer, 0 or more"),
        ({"events_per_run": 2.5}, "guard.events_per_run must be an integer, 0 or more"),
        (
            {"share_of_rows": "20%"},
            "guard.share_of_rows must be a number, 0 or more; 0.2 is a fifth of the table's rows",
        ),
        ({"streams": 5}, "guard.streams must be an object like {orders: {events_per_run: 100}}"),
        ({"streams": {"orders": 5}}, "guard.streams.orders must be an object like"),
        ({"streams": {"orders": {"streams": {}}}}, 'guard.streams.orders has an unknown key "streams"'),
    ],
)
def test_what_is_wrong_with_a_guard_is_said(guard: Any, said: str) -> None:
    (fault,) = settings.faults({"guard": guard}, settings.SCHEMA["properties"])
    assert fault.startswith(said)


def test_what_is_wrong_with_a_rules_guard_is_said() -> None:
    _, found = parse([{**RULE, "guard": {"events_per_run": "5"}}, {**RULE, "guard": 5}])
    assert found == [
        "events[0].guard.events_per_run must be an integer, 0 or more",
        "events[1].guard must be an object like {events_per_run: 1000, share_of_rows: 0.2}",
    ]
