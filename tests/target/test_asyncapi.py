"""The document is judged by AsyncAPI's own JSON Schema (asyncapi/NOTICE), and what it says of events by real events."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from target_eventgen.cli import asyncapi
from target_eventgen.model import rules
from target_eventgen.model.tables import Column, Table
from tests.support.messages import record, schema

if TYPE_CHECKING:
    from tests.support.loading import Loader

OFFICIAL = Draft7Validator(json.loads((Path(__file__).parent / "asyncapi" / "3.0.0.json").read_text()))

FORMATS = FormatChecker(formats=["date", "uuid"])


@FORMATS.checks("date-time")
def is_instant(value: object) -> bool:
    return not isinstance(value, str) or bool(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value)
    )


FORMS: list[dict[str, Any]] = [
    {"enters": "total > 100"},
    {"leaves": "total > 100"},
    {"changes": ["total", "paid_on"]},
    {"on": "created"},
    {"on": "updated"},
    {"on": "deleted"},
    {"when": "new.total > old.total or old.id is null or new.id is null"},
]
PAYLOADS: list[dict[str, Any]] = [
    {},
    {"payload": "changed"},
    {"payload": "key"},
    {"include": ["total"]},
    {"payload": "changed", "include": ["total"]},
]
RULES = [
    {"type": f"order.{next(iter(form))}_{form.get('on', '')}.{number}", "stream": "orders", **form, **payload}
    for form in FORMS
    for number, payload in enumerate(PAYLOADS)
]
PROPERTIES = {
    "id": {"type": "integer"},
    "total": {"type": ["number", "null"]},
    "name": {"type": ["string", "null"]},
    "paid": {"type": ["boolean", "null"]},
    "paid_on": {"type": ["string", "null"], "format": "date"},
    "at": {"type": ["string", "null"], "format": "time"},
    "token": {"type": ["string", "null"], "format": "uuid"},
    "lines": {"type": ["array", "null"]},
    "updated_at": {"type": ["string", "null"], "format": "date-time"},
}
ORDERS = schema("orders", PROPERTIES)


def table(stream: str = "orders", *columns: Column) -> Table:
    return Table(stream, "public", stream, columns or (Column("id", "bigint"), Column("total", "numeric")), key=("id",))


def parsed(*entries: dict[str, Any]) -> tuple[rules.Rule, ...]:
    found, faults = rules.parse(list(entries))
    assert faults == []
    return found


def described(loader: Loader, *arguments: str, **settings: Any) -> dict[str, Any]:
    done = loader.run_command(["events", "describe", "--config", str(loader.write_config(**settings)), *arguments])
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    OFFICIAL.validate(document)
    return document


def catalog(loader: Loader) -> str:
    path = loader.folder / "catalog.json"
    stream = {"tap_stream_id": "orders", "replication_key": "updated_at", **ORDERS}
    path.write_text(json.dumps({"streams": [stream]}))
    return str(path)


def closed(described_schema: dict[str, Any]) -> Draft7Validator:
    """A validator that refuses properties which the document doesn't name, and formats that are none."""

    def close(node: Any) -> Any:
        if isinstance(node, list):
            return [close(each) for each in node]
        if not isinstance(node, dict):
            return node
        shut = {key: close(value) for key, value in node.items()}
        if "properties" in shut and shut.get("type") == "object":
            shut["additionalProperties"] = False
        return shut

    return Draft7Validator(close(copy.deepcopy(described_schema)), format_checker=FORMATS)


def cloud_events(loader: Loader) -> list[dict[str, Any]]:
    done = loader.run_command(["events", "--json", "--database-url", loader.database])
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_event_of_every_form_of_rule_is_as_its_schema_says(loader: Loader) -> None:
    full = {
        "total": 150.5, "name": "a", "paid": True, "paid_on": "2026-01-01", "at": "09:30:00",
        "token": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "lines": [1, {"a": None}], "updated_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    bare = dict.fromkeys(full)
    loader.load(
        [
            ORDERS,
            record("orders", id=1, **full),
            record("orders", id=2, **bare),
            record("orders", id=2, **full),
            record("orders", **{**full, "id": 1, "total": 90, "paid_on": None, "updated_at": "2026-01-02T00:00:00Z"}),
            record("orders", **{**full, "id": 1, "total": 200, "updated_at": "2026-01-03T00:00:00Z"}),
            record("orders", id=1, updated_at="2026-01-04T00:00:00Z", _sdc_deleted_at="2026-01-04T00:00:00Z"),
        ],
        events=RULES,
    )
    document = described(loader, events=RULES)
    assert described(loader, "--catalog", catalog(loader), events=RULES) == document
    schemas = document["components"]["schemas"]
    told = cloud_events(loader)
    assert {event["type"] for event in told} == {rule["type"] for rule in RULES}
    for event in told:
        closed(schemas[event["type"]]).validate(event)
    # And not as any other says that differs in what there is before and after.
    creation = next(event for event in told if event["type"] == "order.on_created.0")
    deletion = next(event for event in told if event["type"] == "order.on_deleted.0")
    update = next(event for event in told if event["type"] == "order.on_updated.0")
    for event, other in (
        (creation, "order.on_updated.0"),
        (deletion, "order.on_created.0"),
        (update, "order.on_created.0"),
        (update, "order.on_deleted.0"),
    ):
        with pytest.raises(ValidationError):
            closed(schemas[other]).validate({**event, "type": other})


def test_an_event_of_an_undo_and_of_an_application_is_as_its_schema_says(loader: Loader) -> None:
    rule = {"type": "large", "stream": "orders", "enters": "total > 100"}
    loader.load([ORDERS, record("orders", id=1, total=150), record("orders", id=2, total=150)], events=[])
    loader.load([ORDERS, record("orders", id=1, total=50)], events=[rule], undo_days=1)
    ((run,),) = loader.query("select distinct run from eventgen.replaced")
    config = str(loader.write_config(events=[rule]))
    for command in (["undo", str(run)], ["rules", "apply", "large"]):
        assert loader.run_command([*command, "--config", config]).returncode == 0
    told = cloud_events(loader)
    assert [set(event["data"]) - {"old", "new", "changed"} for event in told] == [{"undone"}, {"applied"}]
    of_type = closed(described(loader, events=[rule])["components"]["schemas"]["large"])
    for event in told:
        of_type.validate(event)


def test_several_rules_of_one_type_are_one_message_with_each_of_their_forms() -> None:
    found = parsed(
        {"type": "thing.gone", "stream": "orders", "on": "deleted"},
        {"type": "thing.gone", "stream": "customers", "on": "deleted"},
        {"type": "thing.gone", "stream": "customers", "leaves": "total > 1"},
    )
    document = asyncapi.document(found, {"orders": table(), "customers": table("customers")}, title="a", version="1")
    OFFICIAL.validate(document)
    assert list(document["components"]["messages"]) == ["thing.gone"]
    assert set(document["channels"]) == {"orders", "customers"}
    data = document["components"]["schemas"]["thing.gone"]["properties"]["data"]
    assert len(data["anyOf"]) == 2  # both deletions look alike


@pytest.mark.parametrize("types", [["a b", "a/b", "a:b"], ["ü", "ö"], ["a.b", "a.b"]])
def test_names_that_the_document_can_not_have_are_rewritten_and_stay_distinct(types: list[str]) -> None:
    found = parsed(*({"type": each, "stream": f"s {n}", "on": "created"} for n, each in enumerate(types)))
    document = asyncapi.document(found, {rule.stream: table(rule.stream) for rule in found}, title="a", version="1")
    OFFICIAL.validate(document)
    messages = document["components"]["messages"]
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", name) for name in (*messages, *document["channels"]))
    assert [message["name"] for message in messages.values()] == list(dict.fromkeys(types))
    assert [channel["title"] for channel in document["channels"].values()] == [f"s {n}" for n in range(len(types))]


def test_without_rules_the_document_is_empty_and_valid() -> None:
    OFFICIAL.validate(asyncapi.document((), {}, title="a", version="1"))


def test_a_column_of_an_unknown_type_may_be_anything() -> None:
    found = parsed({"type": "a", "stream": "orders", "on": "created"})
    document = asyncapi.document(
        found, {"orders": table("orders", Column("id", "bigint"), Column("place", "point"))}, title="a", version="1"
    )
    OFFICIAL.validate(document)
    new = document["components"]["schemas"]["a"]["properties"]["data"]["properties"]["new"]
    assert "type" not in new["properties"]["place"]
    assert new["required"] == ["id", "place"]


def test_the_table_of_the_configuration_is_described_and_named(loader: Loader) -> None:
    rule = {"type": "a", "stream": "orders", "on": "created"}
    for place, column in (("a", "total"), ("b", "amount")):
        orders = schema("orders", {"id": {"type": "integer"}, column: {"type": "number"}}, version=None)
        loader.load([orders, record("orders", id=1)], default_target_schema=place)
    for place, column in (("a", "total"), ("b", "amount")):
        config = str(loader.write_config(events=[rule], default_target_schema=place))
        done = loader.run_command(["events", "describe", "--config", config])
        data = json.loads(done.stdout)["components"]["schemas"]["a"]["properties"]["data"]
        assert data["properties"]["new"]["required"] == ["id", column]
        assert f'the stream "orders" is described by its table "{place}"."orders"' in done.stderr
    done = loader.run_command(["events", "describe", "--config", str(loader.write_config(events=[rule]))])
    assert done.returncode == 1
    assert 'streams of this name are in "a"."orders", "b"."orders"' in done.stderr


def test_a_rule_whose_stream_is_not_there_is_one_message(loader: Loader) -> None:
    for arguments, said in (((), "load it first"), (("--catalog", catalog(loader)), 'did you mean "orders"')):
        rule = {"type": "a", "stream": "ordres", "on": "created"}
        config = str(loader.write_config(events=[rule]))
        done = loader.run_command(["events", "describe", "--config", config, *arguments])
        assert done.returncode == 1
        assert done.stdout == ""
        assert said in done.stderr
        assert "Traceback" not in done.stderr
