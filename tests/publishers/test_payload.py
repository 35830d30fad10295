"""A payload of the receiver's own form: what its paths lead to, and which of them no event could have."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from target_eventgen.model import routes
from target_eventgen.publishers.cloudevent import CloudEvent, cloud_event
from target_eventgen.publishers.payload import Payload, faults
from tests.support.messages import recorded

pytestmark = pytest.mark.pure

ROW = {"id": 42, "amount": 1.5, "note": None, "name": "Zoë {x}", "lines": [{"sku": "a"}, {"sku": "b"}], "open": True}


def sent(data: Any = None, **changes: Any) -> CloudEvent:
    whole = {"old": None, "new": ROW, "changed": ["amount"]} if data is None else data
    return cloud_event(recorded(whole, stream="orders", key='{"id": 42}', **changes))


def made(template: Any, event: CloudEvent | None = None) -> Any:
    assert faults("payload", template) == []
    return json.loads(Payload(template).body(event or sent()))


def test_a_text_that_is_one_path_becomes_what_it_leads_to_whatever_its_type() -> None:
    template = {
        "id": "{data.new.id}",
        "amount": "{ data.new.amount }",
        "open": "{data.new.open}",
        "second": "{data.new.lines.1.sku}",
        "all": ["{data.new.lines}", "{data.changed.0}"],
        "key": "{key.id}",
        "whole key": "{key}",
        "of": "{stream} {source} {type}",
        "at": "{time}",
    }
    assert made(template) == {
        "id": 42,
        "amount": 1.5,
        "open": True,
        "second": "b",
        "all": [ROW["lines"], "amount"],
        "key": 42,
        "whole key": {"id": 42},
        "of": "orders target-eventgen/db subscription.passed_10000",
        "at": "2026-01-01T00:00:05.000000Z",
    }


def test_a_path_within_other_characters_becomes_text_and_a_value_is_never_read_as_a_path() -> None:
    template = {"text": "Order {data.new.id} of {data.new.name}: {data.new.amount}, {data.new.open}, {data.new.lines}"}
    assert made(template) == {"text": 'Order 42 of Zoë {x}: 1.5, true, [{"sku":"a"},{"sku":"b"}]'}


def test_what_is_no_text_stays_as_it_is_and_doubled_braces_are_single_ones() -> None:
    template = {"version": 2, "none": None, "yes": True, "text": "{{data.new.id}} = {data.new.id}}}", "empty": ""}
    assert made(template) == {"version": 2, "none": None, "yes": True, "text": "{data.new.id} = 42}", "empty": ""}


@pytest.mark.parametrize("data", [{"old": None, "new": None, "changed": []}, {"old": [], "new": "x", "changed": {}}, 7])
def test_a_value_that_is_missing_is_null_or_the_declared_default_and_never_an_error(data: Any) -> None:
    template = {
        "id": "{data.new.id}",
        "name": "{data.new.name|nobody}",
        "amount": "{data.new.amount|0}",
        "lines": "{data.new.lines.0.sku|[]}",
        "column": "{data.changed.0|}",
        "text": "{data.new.name|nobody} owes {data.new.amount|0} of {data.new.id}",
    }
    assert made(template, sent(data)) == {
        "id": None,
        "name": "nobody",
        "amount": 0,
        "lines": [],
        "column": "",
        "text": "nobody owes 0 of null",
    }


@pytest.mark.parametrize("mark", ["undone", "applied"])
def test_the_mark_of_an_undo_and_of_an_application_is_true_or_missing(mark: str) -> None:
    template = {"mark": f"{{data.{mark}}}", "known": f"{{data.{mark}|false}}", "text": f"again: {{data.{mark}|no}}"}
    data: dict[str, Any] = {"old": None, "new": ROW, "changed": []}
    assert made(template, sent({**data, mark: True})) == {"mark": True, "known": True, "text": "again: true"}
    assert made(template, sent(data)) == {"mark": None, "known": False, "text": "again: no"}


def test_null_is_missing_and_what_is_false_is_not() -> None:
    row = {"note": None, "zero": 0, "empty": "", "no": False}
    template = [f"{{data.new.{name}|given}}" for name in row]
    assert made(template, sent({"new": row})) == ["given", 0, "", False]


def test_attributes_that_an_event_lacks_are_null() -> None:
    event = cloud_event(recorded(time=None))
    assert made(["{time}", "{traceparent}", "{stream}", "{key}", "{key.id}"], event) == [None] * 5


def test_numbers_keep_all_their_digits() -> None:
    digits = "1234567890123456789012345678.10"
    event = cloud_event(recorded(f'{{"old":null,"new":{{"n":{digits},"i":{2**80}}},"changed":[]}}'))
    body = Payload(["{data.new.n}", "{data.new.i}", "{data.new.n}!"]).body(event)
    assert body == f'[{digits},{2**80},"{digits}!"]'.encode()


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ({"id": "{date.new.id}"}, 'payload.id has {date.new.id}, which an event doesn\'t have (did you mean "data"?)'),
        ({"id": "{new.id}"}, "payload.id has {new.id}, which an event doesn't have"),
        (
            {"a": [{"b": "{data.nwe.id}"}]},
            "payload.a[0].b has {data.nwe.id}, but data has the parts new, old, changed, undone, applied alone",
        ),
        ("{data.undoen}", 'did you mean "undone"?'),
        ("{data.undone.id}", "data.undone is true, or missing, and has no parts"),
        ("{type.name}", "type is a text and has no parts"),
        ("{data.changed.name}", "data.changed is a list of columns"),
        ("{data..id}", "which is no path"),
        ("{}", "which is no path"),
        ("{|x}", "which is no path"),
        ("a { b", "has a brace that is not closed or not opened; one that means itself is doubled"),
        ("a } b", "has a brace that is not closed"),
        ("{{{data.new.id}}", "has a brace that is not closed"),
    ],
)
def test_a_path_that_no_event_has_is_refused_with_its_place(template: Any, fault: str) -> None:
    (found,) = faults("payload", template)
    assert found.startswith("payload")
    assert fault in found


def test_all_faults_are_found_at_once() -> None:
    assert len(faults("payload", {"a": "{x} {y}", "b": ["{z}"]})) == 3


def test_a_secret_in_a_payload_stands_for_itself_whatever_braces_it_holds() -> None:
    template = {"token": {"secret": "chat"}, "key": {"env": "KEY"}, "id": "{data.new.id}"}
    (route,), _ = routes.parse([{"type": "webhook", "payload": template}])
    given, missing = routes.with_secrets(route, {"KEY": "}{id}"}, {"chat": "a{b"})
    assert missing == []
    assert made(given["payload"]) == {"token": "a{b", "key": "}{id}", "id": 42}


def test_the_body_is_the_same_for_the_same_event() -> None:
    template = {"b": "{data.new}", "a": "{id}"}
    one, other = (Payload(msgspec.json.decode(msgspec.json.encode(template))).body(sent()) for _ in range(2))
    assert one == other
