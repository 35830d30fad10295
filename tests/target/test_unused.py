"""Names and patterns that nothing fits are named, with what they may have meant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from target_eventgen.model import settings, unused
from tests.support.messages import schema, state, version

if TYPE_CHECKING:
    from tests.support.loading import Loader

PAID = {"type": "order.paid", "stream": "orders", "on": "created"}
LEFT = {"type": "customer.left", "stream": "customers", "on": "deleted"}


def by_rules(**given: Any) -> list[str]:
    return list(unused.by_rules(settings.parse({"events": [PAID, LEFT], **given})))


def to_file(**given: Any) -> list[dict[str, Any]]:
    return [{"type": "file", "path": "events.jsonl", **given}]


@pytest.mark.pure
@pytest.mark.parametrize(
    "given",
    [
        {"guard": {"streams": {"ord*": {}, "*": {}, "customers": {}}}},
        {"publishers": to_file(events=["order.paid", "customer.*", "*"], streams=["*s", "orders"])},
        {"publishers": to_file(events=["order.shipped"], sources=["*"])},
        {"publishers": to_file(events=["order.shipped"]), "events": []},
    ],
)
def test_what_fits_a_rule_or_may_fit_others_rules_is_not_named(given: Any) -> None:
    assert by_rules(**given) == []


@pytest.mark.pure
def test_patterns_that_no_rule_fits_are_named_with_the_nearest_name() -> None:
    publishers = to_file(name="lake", events=["order.*", "order.piad", "orderXpaid*"], streams=["ordres", "x*"])
    assert by_rules(publishers=publishers, guard={"streams": {"oders*": {}}}) == [
        'guard.streams."oders*" guards nothing: no rule watches such a stream (did you mean "orders"?)',
        'the publisher "lake": no rule has a type that fits "order.piad" (events) (did you mean "order.paid"?)',
        'the publisher "lake": no rule has a type that fits "orderXpaid*" (events) (did you mean "order.paid"?)',
        'the publisher "lake": no rule watches a stream that fits "ordres" (streams) (did you mean "orders"?)',
        'the publisher "lake": no rule watches a stream that fits "x*" (streams)',
    ]


@pytest.mark.pure
def test_streams_that_did_not_come_are_named_with_what_was_not_used_for_them() -> None:
    given = {"events": [PAID], "stale": {"invoices": "keep", "customers": "keep"}, "version_order": {"log_*": "text"}}
    assert list(unused.by_streams(settings.parse(given), {"order", "customers"})) == [
        'no stream "orders" came, so its event rules were not used (did you mean "order"?)',
        'no stream that fits "log_*" came, so version_order was not used for it',
        'no stream "invoices" came, so stale was not used for it',
    ]


def test_a_guard_of_a_stream_that_no_rule_watches_ends_the_load_before_it_begins(loader: Loader) -> None:
    rule = {"type": "created", "stream": "subscriptions", "on": "created"}
    message = loader.refused([schema()], events=[rule], guard={"streams": {"subscription": {}}})
    assert 'no rule watches a stream of this name (did you mean "subscriptions"?)' in message
    loader.load([schema(), version(1, 1, 1), state(1)], events=[], guard={"streams": {"subscription": {}}})


def test_a_load_and_a_check_say_what_nothing_fits(loader: Loader) -> None:
    rule = {"type": "created", "stream": "subscriptions", "on": "created"}
    given: dict[str, Any] = {
        "events": [rule],
        "guard": {"streams": {"subscripton*": {}}},
        "publishers": to_file(events=["craeted"]),
        "stale": {"orders": "keep"},
    }
    done = loader.run([schema(), version(1, 1, 1), state(1)], **given)
    assert (done.returncode, json.loads(done.stdout)) == (0, 1)
    for said in ('guard.streams."subscripton*"', 'did you mean "created"', 'no stream "orders" came, so stale'):
        assert said in done.stderr
    done = loader.run_command(["rules", "check", "--config", str(loader.write_config(**given))])
    assert done.returncode == 0
    assert done.stdout.count("note ") == 2
