"""What tables are made of a SCHEMA, and what becomes of values in them, on a real Postgres."""

from __future__ import annotations

from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import psycopg2.extensions
import pytest

from tests.support.messages import record, schema, state, version

if TYPE_CHECKING:
    from tests.support.loading import Loader

UUID = "0e37df36-f698-11e6-8dd4-cb9ced3df976"
VALUES: dict[str, tuple[dict[str, Any], Any, str, Any]] = {
    "text": ({"type": "string"}, "a\tb\nc\\d\re\\N", "text", "a\tb\nc\\d\re\\N"),
    "empty text": ({"type": "string"}, "", "text", ""),
    "text like a null": ({"type": "string"}, "\\N", "text", "\\N"),
    "the end of a COPY": ({"type": "string"}, "\\.", "text", "\\."),
    "text of other scripts": ({"type": "string"}, "Ünïcode 漢字 🐘", "text", "Ünïcode 漢字 🐘"),
    "NUL": ({"type": "string"}, "a\0b", "text", "a\ufffdb"),
    "integer": ({"type": "integer"}, 9223372036854775807, "bigint", 9223372036854775807),
    "integer with a point": ({"type": "integer"}, 5.0, "bigint", 5),
    "number": ({"type": "number"}, 0.1, "numeric", Decimal("0.1")),
    "large number": ({"type": "number"}, 10**40, "numeric", Decimal(10**40)),
    "boolean": ({"type": ["null", "boolean"]}, False, "boolean", False),
    "null": ({"type": ["null", "boolean"]}, None, "boolean", None),
    "date-time": (
        {"type": "string", "format": "date-time"},
        "2026-01-01T12:00:00.123456+02:00",
        "timestamp with time zone",
        datetime(2026, 1, 1, 10, 0, 0, 123456, tzinfo=timezone.utc),
    ),
    "date-time without zone": (
        {"type": "string", "format": "date-time"},
        "2026-01-01T12:00:00",
        "timestamp with time zone",
        datetime(2026, 1, 1, 12, tzinfo=timezone.utc),
    ),
    "date": ({"type": "string", "format": "date"}, "2026-02-28", "date", date(2026, 2, 28)),
    "time": ({"type": "string", "format": "time"}, "10:11:12", "time without time zone", time(10, 11, 12)),
    "uuid": ({"type": "string", "format": "uuid"}, UUID.upper(), "uuid", UUID),
    "object": ({"type": "object"}, {"a": [1, None, "\n\\"]}, "jsonb", {"a": [1, None, "\n\\"]}),
    "object with NUL": ({"type": "object"}, {"\0": "\\u0000 \0"}, "jsonb", {"\ufffd": "\\u0000 \ufffd"}),
    "object with an escaped backslash": ({"type": "object"}, {"a": "\\u0000"}, "jsonb", {"a": "\\u0000"}),
    "array": ({"type": "array", "items": {"type": "integer"}}, [3, 1], "jsonb", [3, 1]),
    "anything": ({}, "text", "jsonb", "text"),
    "string or integer": ({"type": ["string", "integer"]}, 5, "text", "5"),
    "integer or number": ({"type": ["integer", "number"]}, 5, "numeric", 5),
    "object or string": ({"type": ["object", "string"]}, "x", "jsonb", "x"),
    "any of date-time and string": (
        {"anyOf": [{"type": "string", "format": "date-time"}, {"type": ["string", "null"]}]},
        "never",
        "text",
        "never",
    ),
}


@pytest.mark.parametrize("case", VALUES)
def test_a_value_is_stored_whole_in_a_column_of_its_type(loader: Loader, case: str) -> None:
    definition, sent, type_, stored = VALUES[case]
    properties = {"id": {"type": "integer"}, "Value": definition}
    messages = [schema("values", properties, version=None), record("values", id=1, Value=sent)]
    rules = [
        {"type": "made", "stream": "values", "on": "created"},
        {"type": "moved", "stream": "values", "on": "updated"},
    ]
    loader.load([*messages, state(1)], events=rules)
    loader.load([*messages, state(1)], events=rules)
    assert loader.query('select pg_typeof("Value")::text, "Value" from values') == [(type_, stored)]
    assert loader.events() == [("made", "1")]


def of_kind(*kinds: str, **more: Any) -> dict[str, Any]:
    """A SCHEMA of things whose property `v` is of these kinds."""
    return schema("things", {"id": {"type": "integer"}, "v": {"type": [*kinds, "null"], **more}}, version=None)


@pytest.mark.parametrize(
    ("later", "value", "stored"),
    [
        (of_kind("string"), "a", ("text", "a")),
        (of_kind("number"), 5, ("numeric", Decimal(5))),
        (of_kind("object"), {"a": 1}, ("jsonb", {"a": 1})),
        (
            of_kind("string", format="date-time"),
            "2026-01-01T00:00:00Z",
            ("timestamp with time zone", datetime(2026, 1, 1, tzinfo=timezone.utc)),
        ),
    ],
    ids=["text", "number", "object", "date-time"],
)
def test_a_property_that_only_was_null_is_a_text_and_then_what_it_becomes(
    loader: Loader, later: dict[str, Any], value: Any, stored: tuple[str, Any]
) -> None:
    rules = [{"type": "set", "stream": "things", "enters": "v is not null"}]
    loader.load([of_kind(), record("things", id=1, v=None), record("things", id=2, v=None)], events=rules)
    assert loader.query("select distinct pg_typeof(v)::text from things") == [("text",)]
    loader.load([later, record("things", id=2, v=value)], events=rules)
    # A later sample in which it is null again says nothing of its type.
    loader.load([of_kind(), record("things", id=1, v=None)], events=rules)
    assert loader.query("select pg_typeof(v)::text, v from things order by id") == [(stored[0], None), stored]
    assert loader.events() == [("set", "2")]


@pytest.mark.parametrize(
    ("condition", "type_", "later", "value"),
    [
        ("v > 100", "numeric", of_kind("number"), 200),
        ("v is not null and v > timestamptz '2026-01-01'", "timestamp with time zone", of_kind("string", format="date-time"), "2026-02-01T00:00:00Z"),
        ("v", "boolean", of_kind("boolean"), True),
        ("(v->>'a')::int > 1", "jsonb", of_kind("object"), {"a": 2}),
        ("v = 'x'", "text", of_kind("string"), "x"),
    ],
    ids=["numeric", "instant", "boolean", "json", "text"],
)  # fmt: skip
def test_a_rule_over_a_property_that_only_was_null_waits_for_its_values(
    loader: Loader, condition: str, type_: str, later: dict[str, Any], value: Any
) -> None:
    rules = [
        {"type": "known", "stream": "things", "enters": "v is not null"},
        {"type": "met", "stream": "things", "enters": condition},
    ]
    # The rules may come when the column is there already.
    for first in ([], rules):
        loader.load([of_kind(), record("things", id=1, v=None)], events=first)
    assert loader.query("select pg_typeof(v)::text from things") == [(type_,)]
    loader.load([of_kind(), record("things", id=2, v=None), later, record("things", id=2, v=value)], events=rules)
    assert loader.events() == [("known", "2"), ("met", "2")]
    loader.load([of_kind("string", "array"), record("things", id=3, v=["x"])])
    assert loader.query("select pg_typeof(v)::text from things where id = 3") == [("jsonb",)]


def test_a_property_that_only_was_null_becomes_another_type_than_a_rule_needed(loader: Loader) -> None:
    rules = [{"type": "met", "stream": "things", "enters": "v > 100"}]
    loader.load([of_kind(), record("things", id=1, v=None)], events=rules)
    loader.load([of_kind("string", format="date-time"), record("things", id=1, v="2026-02-01T00:00:00Z")])
    assert loader.query("select pg_typeof(v)::text from things") == [("timestamp with time zone",)]
    told = loader.refused([of_kind(), record("things", id=1, v=None)], events=[{**rules[0], "enters": "w > 100"}])
    assert 'column "w" does not exist' in told


@pytest.mark.parametrize("kind", ["number", "object"])
def test_a_view_over_a_column_that_gets_its_type_is_named_with_what_to_do(loader: Loader, kind: str) -> None:
    loader.load([of_kind(), record("things", id=1, v=None)])
    loader.query("create view seen as select v from things")
    told = loader.refused([of_kind(kind), record("things", id=1, v=None)])
    assert 'must be widened for its SCHEMA, "v" to ' in told
    assert told.count('"v"') == 1
    assert "(view seen)" in told
    assert "drop what depends on the column, run again, and create it again" in told


def test_a_text_of_another_owner_stays_one_though_it_is_all_null(loader: Loader) -> None:
    loader.query("create table things (id bigint primary key, v text)")
    loader.load([of_kind("number"), record("things", id=1, v=None)])
    assert loader.query("select pg_typeof(v)::text from things") == [("text",)]


def test_a_column_that_got_values_otherwise_keeps_them(loader: Loader) -> None:
    loader.load([of_kind(), record("things", id=1, v=None)])
    loader.query("update things set v = 'mine'")
    loader.load([of_kind("number"), record("things", id=2, v=5)])
    assert loader.query("select v from things order by id") == [("mine",), ("5",)]


def test_digits_of_a_number_are_preserved_in_columns_and_in_json(loader: Loader) -> None:
    properties = {"id": {"type": "integer"}, "n": {"type": "number"}, "o": {"type": "object"}}
    digits = "12345678901234567890.12345678901234567890"
    line = f'{{"type": "RECORD", "stream": "s", "record": {{"id": 1, "n": {digits}, "o": {{"n": {digits}}}}}}}'
    loader.load([schema("s", properties, version=None), line])
    assert loader.query("select n::text, o->>'n' from s") == [(digits, digits)]


@pytest.mark.parametrize("name", ["place", "tids", "tid", "number", "before", "s"])
@pytest.mark.parametrize("in_key", [False, True])
def test_a_property_may_have_any_name_that_a_statement_might_use(loader: Loader, name: str, *, in_key: bool) -> None:
    text = {"type": ["null", "string"]}
    properties = {
        "id": {"type": "integer"},
        name: text,
        "other": text,
        "updated_at": {"type": "string", "format": "date-time"},
    }
    described = schema(properties=properties, key=("id", name) if in_key else ("id",))
    key: dict[str, Any] = {"id": 1, name: "a"} if in_key else {"id": 1}
    first = record(**{**key, name: "a"}, other="b", updated_at="2026-01-01T00:00:00Z")
    second = record(**key, updated_at="2026-01-01T00:00:01Z")
    loader.load([described, first, second])
    assert loader.query(f'select "{name}", other from subscriptions') == [("a", "b")]


def test_a_missing_property_keeps_the_stored_value_and_null_and_empty_replace_it(loader: Loader) -> None:
    properties = {"id": {"type": "integer"}, **{name: {"type": ["string", "null"]} for name in "abc"}}
    described = schema("parts", properties, version=None)
    rules = [{"type": "changed", "stream": "parts", "changes": ["a"]}]
    loader.load([described, record("parts", id=1, a="x", b="y", c="z"), state(1)], events=rules)
    later = [
        record("parts", id=1, b=None),
        record("parts", id=1, c=""),
        record("parts", id=2),
        record("parts", id=2, a="n"),
    ]
    loader.load([described, *later], events=rules)
    assert loader.query("select id, a, b, c from parts order by id") == [(1, "x", None, ""), (2, "n", None, None)]
    assert loader.events("data->'old'->>'a', data->'new'->>'a'") == [(None, "n")]


def test_columns_that_a_schema_brings_are_added_and_old_rows_keep_theirs(loader: Loader) -> None:
    narrow = {"id": {"type": "integer"}, "a": {"type": "string"}}
    wide = {**narrow, "b": {"type": "integer"}}
    rules = [{"type": "b", "stream": "s", "changes": ["b"]}]
    loader.load([schema("s", narrow, version=None), record("s", id=1, a="x")])
    messages = [
        schema("s", narrow, version=None), record("s", id=2, a="y"), schema("s", wide, version=None), record("s", id=1, b=5),
        schema("s", narrow, version=None), record("s", id=1, a="z"),
    ]  # fmt: skip
    done = loader.run(messages, events=[])
    assert done.returncode == 0, done.stderr
    assert loader.query("select id, a, b from s order by id") == [(1, "z", 5), (2, "y", None)]
    message = loader.refused(messages, events=rules)
    assert '"b"' in message


def test_a_schema_change_in_mid_stream_writes_what_came_before_it_first(loader: Loader) -> None:
    narrow = {"id": {"type": "integer"}, "a": {"type": "string"}}
    wide = {**narrow, "b": {"type": "integer"}}
    rules = [{"type": "a", "stream": "s", "changes": ["a"]}]
    loader.load(
        [
            schema("s", narrow, version=None), record("s", id=1, a="1"), record("s", id=1, a="2"),
            schema("s", wide, version=None), record("s", id=1, a="3", b=1),
            schema("s", narrow, version=None), record("s", id=1, a="4"), state(1),
        ],
        events=rules,
    )  # fmt: skip
    assert [new for (new,) in loader.events("data->'new'->>'a'")] == ["2", "3", "4"]
    assert loader.query("select a, b from s") == [("4", 1)]


@pytest.mark.parametrize(
    ("stream", "default", "table"),
    [
        ("things", None, "public.things"),
        ("crm-things", None, "crm.things"),
        ("db-crm-things", None, "crm.things"),
        ("crm-things", "raw", "raw.things"),
        ("a-b-c-d", None, 'public."a-b-c-d"'),
        ('We"ird na%me{}', None, 'public."We""ird na%me{}"'),
    ],
)
def test_a_stream_goes_into_the_schema_of_its_prefix_or_the_configured_one(
    loader: Loader, stream: str, default: str | None, table: str
) -> None:
    extra = {"default_target_schema": default} if default else {}
    rules = [{"type": "odd", "stream": stream, "enters": "id > 0"}]
    loader.load([schema(stream), record(stream, id=1, value=1, status="", updated_at=None)], events=rules, **extra)
    assert loader.query(f"select id from {table}") == [(1,)]
    assert loader.events("subject") == [(f"{stream}/1",)]


@pytest.mark.parametrize("mapped", ["sales", {"target_schema": "sales"}])
def test_a_mapped_prefix_goes_before_the_default_schema(loader: Loader, mapped: Any) -> None:
    messages = [schema("crm-people", {"id": {"type": "integer"}}, version=None), record("crm-people", id=1)]
    loader.load(messages, schema_mapping={"crm": mapped}, default_target_schema="rest")
    assert loader.query("select id from sales.people") == [(1,)]


def test_conditions_find_functions_along_the_search_path_of_the_url(loader: Loader) -> None:
    loader.query(
        "create schema functions; create function functions.tenfold(numeric) returns numeric immutable"
        " language sql as 'select 10 * $1'"
    )
    rules = [{"type": "high", "stream": "things", "enters": "tenfold(value) > 10"}]
    messages = [
        schema("things", {"id": {"type": "integer"}, "value": {"type": "number"}}, version=None),
        record("things", id=1, value=2),
    ]
    path = urlencode({"options": "-csearch_path=functions,pg_temp"})
    mark = "&" if "?" in loader.database else "?"
    loader.load(messages, events=rules, database_url=f"{loader.database}{mark}{path}")
    assert loader.events() == [("high", "1")]
    assert loader.query("select id from public.things") == [(1,)]


def test_names_are_stored_as_they_are_written(loader: Loader) -> None:
    names = ["Id", "a b", 'q"uote', "per%cent", "bra{ce}", "select", "new", "old", "n", "x" * 63]
    properties = {name: {"type": "integer"} for name in names}
    rules = [
        {"type": "odd", "stream": "Names", "enters": '"a b" > 0 and "select" > 0 and new > 0'},
        {"type": "moved", "stream": "Names", "when": 'new."per%cent" > old."per%cent" and new.new > 0'},
        {"type": "changed", "stream": "Names", "changes": ["bra{ce}"]},
    ]
    messages = [schema("Names", properties, key=["Id"], version="n")]
    messages += [record("Names", **{**dict.fromkeys(names, n), "Id": 1}) for n in (1, 2)]
    loader.load(messages, events=rules)
    assert loader.events("type") == [("odd",), ("moved",), ("changed",)]
    assert set(loader.events("data->'new'")[0][0]) == set(names)


def test_metadata_columns_are_stored_but_are_not_content(loader: Loader) -> None:
    message = {
        **record(id=1, value=1, status="", updated_at="2026-01-01T00:00:00Z"),
        "time_extracted": "2026-01-01T00:00:09Z",
    }
    rules = [
        {"type": "updated", "stream": "subscriptions", "on": "updated"},
        {"type": "made", "stream": "subscriptions", "on": "created"},
    ]
    loader.load([schema(), {**message, "version": 7}], events=rules)
    loader.load([schema(), {**message, "version": 8, "time_extracted": "2026-01-02T00:00:09Z"}], events=rules)
    assert loader.query("select _sdc_extracted_at::text, _sdc_table_version, _sdc_deleted_at from subscriptions") == [
        ("2026-01-01 00:00:09+00", 8, None)
    ]
    assert loader.query(
        "select bool_and(_sdc_received_at >= _sdc_batched_at and _sdc_sequence > 0) from subscriptions"
    ) == [(True,)]
    assert [set(new) for (new,) in loader.events("data->'new'")] == [{"id", "value", "status", "updated_at"}]


def test_metadata_columns_can_be_left_out(loader: Loader) -> None:
    loader.load([schema(), record(id=1, value=1, status="", updated_at=None)], add_record_metadata=False)
    columns = loader.query(
        "select column_name from information_schema.columns where table_name = 'subscriptions' order by ordinal_position"
    )
    assert [name for (name,) in columns] == [
        "id",
        "value",
        "status",
        "updated_at",
        "_eventgen_version",
        "_eventgen_instant_history",
        "_eventgen_instant",
    ]


def test_a_repeat_that_comes_with_a_version_of_the_table_belongs_to_it(loader: Loader) -> None:
    said = record(id=1, value=1, status="a", updated_at="2026-01-01T00:00:00Z")
    activated = {"type": "ACTIVATE_VERSION", "stream": "subscriptions", "version": 7}
    loader.load([schema(), said, {**said, "version": 7}, activated])
    assert loader.query("select id, _sdc_deleted_at, _sdc_table_version from subscriptions") == [(1, None, 7)]


def test_streams_that_take_turns_keep_the_order_of_each(loader: Loader) -> None:
    numbers, limited = {"id": {"type": "integer"}, "n": {"type": "integer"}}, {"type": "integer", "minimum": 0}
    schemas = [
        schema("a", numbers, version=None),
        schema("b", numbers, version=None),
        schema("c", {**numbers, "n": limited}, version=None),  # not of types alone
    ]
    sent, last = list[Any](), dict[tuple[str, int], int]()
    for n in range(3000):
        stream, key = "abc"[n // 2 % 3], n % 997
        sent.append(record(stream, id=key, n=n))
        last[stream, key] = n
    done = loader.run(
        [*schemas, *sent, state(1), *schemas[:1], record("b", id=0, n=-1), record("a", id=0, n=-2), state(2)]
    )
    assert (done.returncode, done.stdout) == (0, "2\n")
    last |= {("b", 0): -1, ("a", 0): -2}
    found = [(stream, *row) for stream in "abc" for row in loader.query(f"select id, n from {stream}")]
    assert {(stream, key): n for stream, key, n in found} == last


def test_a_stream_without_key_is_appended(loader: Loader) -> None:
    messages = [
        schema("log", {"a": {"type": "integer"}}, key=[], version=None),
        record("log", a=1),
        record("log", a=1),
        state(1),
    ]
    assert loader.load(messages) == [1]
    assert loader.load(messages) == [1]
    assert loader.query("select a from log") == [(1,)] * 4


def test_stream_maps_and_flattening_are_applied_before_anything_is_compared(loader: Loader) -> None:
    properties = {
        "id": {"type": "integer"},
        "o": {"type": "object", "properties": {"n": {"type": "integer"}}},
        "secret": {"type": "string"},
    }
    messages = [schema("s", properties, version=None)]
    messages += [record("s", id=n, o={"n": n}, secret="x") for n in (1, 2)]
    loader.load(
        [*messages, schema("gone"), record("gone", id=1)],
        stream_maps={
            "s": {"__alias__": "t", "__filter__": "id > 1", "secret": None, "twice": "int(id) * 2"},
            "gone": None,
        },
        flattening_enabled=True,
        flattening_max_depth=2,
        events=[{"type": "big", "stream": "t", "enters": "o__n > 1"}],
    )
    assert loader.query("select id, o__n, twice from t") == [(2, 2, 4)]
    assert loader.events() == [("big", "2")]
    assert loader.query("select to_regclass('gone')") == [(None,)]


def test_expressions_of_stream_maps_compute_with_floats(loader: Loader) -> None:
    properties = {"id": {"type": "integer"}, "n": {"type": "number"}}
    maps = {"s": {"more": "float(n * 1.5)"}}
    loader.load([schema("s", properties, version=None), record("s", id=1, n=2.5)], stream_maps=maps)
    assert loader.query("select n, more from s") == [(Decimal("2.5"), Decimal("3.75"))]


def test_a_stream_map_that_fails_on_a_record_is_one_message(loader: Loader) -> None:
    properties = {"id": {"type": "integer"}, "n": {"type": ["number", "null"]}}
    messages = [schema("s", properties, version=None), record("s", id=1, n=None)]
    assert 'stream "s"' in loader.refused(messages, stream_maps={"s": {"more": "float(n * 1.5)"}})


def test_records_that_are_large_are_committed_before_they_fill_the_memory(loader: Loader) -> None:
    messages = [schema("s", {"id": {"type": "integer"}, "t": {"type": "string"}}, version=None)]
    messages += [record("s", id=n, t="x" * 9_000_000) for n in range(5)]
    loader.load(messages)
    assert loader.query("select count(*), count(distinct xmin::text) from s") == [(5, 2)]


@pytest.mark.parametrize(
    ("definition", "spellings"),
    [
        ({"type": "string", "format": "uuid"}, [UUID, UUID.upper()]),
        ({"type": ["string", "integer"]}, ["5", 5]),
        ({"type": "number"}, [1.0, 1]),
    ],
)
def test_keys_that_are_spelt_differently_but_equal_are_one_row(
    loader: Loader, definition: dict[str, Any], spellings: list[Any]
) -> None:
    rules = [{"type": kind, "stream": "s", "on": kind} for kind in ("created", "updated")]
    messages = [schema("s", {"id": definition, "n": {"type": "integer"}}, version=None)]
    messages += [record("s", id=spelling, n=n) for n, spelling in enumerate(spellings)]
    loader.load(messages, events=rules)
    assert loader.query("select n, _eventgen_version from s") == [(1, 2)]
    assert loader.events("type") == [("created",), ("updated",)]


def test_a_table_made_by_another_target_is_taken_over_with_its_own_types(loader: Loader) -> None:
    loader.query(
        "create table public.subscriptions (id int not null primary key, value float8, status varchar(9), updated_at timestamp);"
        " insert into subscriptions values (1, 5, 'a', '2026-01-01')"
    )
    rules = [{"type": "passed", "stream": "subscriptions", "enters": "value > 10"}]
    loader.load([schema(), record(id=1, value=11.5, status="b", updated_at="2026-01-02T00:00:00Z")], events=rules)
    loader.load([schema(), record(id=1, value=1, status="b", updated_at="2026-01-01T00:00:00Z")], events=rules)
    assert loader.query("select value, updated_at::text from subscriptions") == [(11.5, "2026-01-02 00:00:00")]
    assert loader.events("type, time::text") == [("passed", "2026-01-02 00:00:00+00")]


def test_the_parts_of_a_url_are_as_good_as_the_url(loader: Loader) -> None:
    parts = psycopg2.extensions.parse_dsn(loader.database)
    given: dict[str, Any] = {
        "host": parts["host"],
        "port": int(parts["port"]),
        "user": parts["user"],
        "database": parts["dbname"],
    }
    if "password" in parts:
        given["password"] = parts["password"]
    loader.load([schema(), record(id=1, value=1, status="", updated_at=None)], database_url="", **given)
    assert loader.query("select id from subscriptions") == [(1,)]


def test_what_changes_after_a_checkpoint_of_repeats_is_stored(loader: Loader) -> None:
    rules = [{"type": "changed", "stream": "subscriptions", "changes": ["value"]}]
    first = [version(key, 1, key) for key in range(8)]
    loader.load([schema(), *first, state(1)], events=rules)
    later = [version(key, 2, 100 + key) for key in range(4)]
    loader.load([schema(), *first, state(1), *later, *first[4:], state(2)], events=rules, batch_size_rows=8)
    assert loader.query("select id, value from subscriptions order by id") == [
        (key, 100 + key if key < 4 else key) for key in range(8)
    ]
    assert sorted(loader.events("key->>'id'")) == [(str(key),) for key in range(4)]
