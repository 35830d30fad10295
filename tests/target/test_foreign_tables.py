"""Tables that other tools made: values are stored as they were sent, or named, and versions keep their order."""

from __future__ import annotations

import secrets
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from psycopg2 import errors

from target_eventgen.errors import ConnectionLostError, DatabaseError
from target_eventgen.store.refusals import DELIVERY_REMEDIES, session_refusal
from tests.support.messages import record, schema, state
from tests.support.queries import execute
from tests.support.relaying import Outbox, Receiver

if TYPE_CHECKING:
    from tests.support.loading import Loader

ORDERS: dict[str, Any] = {
    "id": {"type": "integer"},
    "u": {"type": ["string", "null"], "format": "date-time"},
    "v": {"type": ["integer", "null"]},
}
TOUCHED = [{"type": "touched", "stream": "orders", "on": "updated"}]


def orders(*records: dict[str, Any]) -> list[dict[str, Any]]:
    return [schema("orders", ORDERS, version="u"), *(record("orders", **each) for each in records)]


VERSIONS = [
    {"id": 1, "v": 1, "u": "2026-01-01T12:00:00Z"},
    {"id": 1, "v": 2, "u": "2026-01-01T08:30:00-04:00"},
    {"id": 1, "v": 3, "u": "2026-01-01T16:00:00+05:00"},
]


@pytest.mark.parametrize("stored", ["timestamp", "timestamp(3)", "timestamptz(3)", "timestamptz", "public.moment"])
@pytest.mark.parametrize("together", [True, False])
def test_versions_are_ordered_as_instants_where_a_column_knows_no_zone(
    loader: Loader, stored: str, *, together: bool
) -> None:
    loader.query("create domain public.moment as timestamp")
    loader.query(f"create table public.orders (id bigint primary key, u {stored}, v bigint)")
    for part in [VERSIONS] if together else [[each] for each in VERSIONS]:
        loader.load(orders(*part), events=TOUCHED)
    assert loader.query("select v, (u at time zone 'UTC')::text like '2026-01-01 12:30:00%' from orders") == [(2, True)]
    first, second = ("touched", 1, "2026-01-01 12:00:00+00"), ("touched", 2, "2026-01-01 12:30:00+00")
    told = [first, second] if together else [second]  # together, the third is the oldest of three
    assert loader.events("type, (data->'new'->>'v')::int, time::text") == told


def test_marks_of_deletions_are_instants_where_their_column_knows_no_zone(loader: Loader) -> None:
    loader.query(
        "create table public.orders (id bigint primary key, u timestamp, v bigint, _sdc_extracted_at timestamp,"
        " _sdc_deleted_at timestamp, _sdc_batched_at timestamp, _sdc_sequence integer, _sdc_table_version integer)"
    )
    loader.load(orders(*VERSIONS))
    gone = {"id": 1, "u": "2026-01-01T13:00:00Z", "_sdc_deleted_at": "2026-01-01T18:00:00+05:00"}
    extracted = {**record("orders", **gone), "time_extracted": "2026-01-01T20:00:00+05:00"}
    loader.load([*orders(), extracted])
    assert loader.query("select _sdc_deleted_at::text, _sdc_extracted_at::text, v from orders") == [
        ("2026-01-01 13:00:00", "2026-01-01 15:00:00", 2)
    ]
    loader.load([*orders(), {**record("orders", id=2, v=1), "version": 2**40}, state(1)])
    assert loader.query("select _sdc_table_version, _sdc_sequence > 2^40 from orders where id = 2") == [(2**40, True)]


def items(kind: Any) -> dict[str, Any]:
    return {"type": ["array", "null"], "items": kind}


ARRAYS: dict[str, tuple[str, Any, list[Any]]] = {
    "texts": (
        "text[]",
        {"type": "string"},
        [["a", 'q"\\,{}\n', "", "null", "NULL", None, "é\ttab"], [], None, [" x "]],
    ),
    "varchars": ("varchar[]", {"type": "string"}, [["a"], []]),
    "bigints": ("bigint[]", {"type": "integer"}, [[1, -2, None], [], [10**17]]),
    "integers": ("int[]", {"type": "integer"}, [[1, 999999999]]),
    "numbers": ("numeric[]", {"type": "number"}, [[1.5, 2, None]]),
    "booleans": ("boolean[]", {"type": "boolean"}, [[True, False, None]]),
}


@pytest.mark.parametrize("case", ARRAYS)
@pytest.mark.parametrize("validates", [True, False])
def test_an_array_column_takes_json_arrays(loader: Loader, case: str, *, validates: bool) -> None:
    stored, kind, values = ARRAYS[case]
    loader.query(f"create table public.t (id bigint primary key, a {stored})")
    given = [
        schema("t", {"id": {"type": "integer"}, "a": items({**kind, "type": [kind["type"], "null"]})}, version=None),
        *(record("t", id=number, a=value) for number, value in enumerate(values)),
    ]
    for _ in range(2):
        loader.load(given, events=[{"type": "touched", "stream": "t", "on": "updated"}], validate_records=validates)
        assert loader.query(
            "select format_type(atttypid, atttypmod) from pg_attribute where attname = 'a' and attrelid = 't'::regclass"
        )[0][0].endswith("[]")
        assert loader.query("select to_jsonb(a) from t order by id") == [(value,) for value in values]
    assert loader.events() == []


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ("text[]", ["a", 1]),
        ("text[]", [["a", "b"], ["c"]]),
        ("text[]", [[]]),
        ("text[]", [{"a": 1}]),
        ("text[]", {"a": 1}),
        ("bigint[]", [1, "1"]),
        ("bigint[]", [10**18]),
        ("bigint[]", [1.5]),
        ("int[]", [2**40]),
        ("numeric[]", ["1"]),
        ("boolean[]", ["true"]),
        ("timestamp[]", ["2026-01-01T12:00:00+05:00"]),
        ("varchar(3)[]", ["abcd"]),
        ("real[]", [0.1]),
    ],
)
def test_an_array_column_that_would_change_a_value_becomes_jsonb(loader: Loader, stored: str, value: Any) -> None:
    loader.query(
        f"create table public.t (id bigint primary key, a {stored}); insert into t values (0, '{{}}'), (9, null)"
    )
    told = schema("t", {"id": {"type": "integer"}, "a": {"type": ["array", "object", "null"]}}, version=None)
    loader.load([told, record("t", id=1, a=None), state(1), record("t", id=2, a=value), state(2)], batch_size_rows=1)
    loader.load([told, record("t", id=3, a=value)])
    assert loader.query("select a from t order by id") == [([],), (None,), (value,), (value,), (None,)]


@pytest.mark.parametrize("kind", [{"type": "object"}, {"type": "string"}, {}])
def test_a_json_column_becomes_jsonb_since_json_can_not_be_compared(loader: Loader, kind: dict[str, Any]) -> None:
    loader.query("create table public.t (id bigint primary key, a json); insert into t values (1, '{\"k\":  1}')")
    told = schema("t", {"id": {"type": "integer"}, "a": kind}, version=None)
    value = "x" if kind.get("type") == "string" else {"k": 2}
    for _ in range(2):
        loader.load([told, record("t", id=2, a=value)])
    assert loader.query("select a from t order by id") == [({"k": 1},), (value,)]


NARROW: dict[str, tuple[str, str, list[str], str]] = {
    "a float of 4 bytes": ("real", "number", ["1.5", "0", "16777216", "-0.0"], "16777217"),
    "a float of 4 bytes, a fraction": ("real", "number", ["0.1", "1e20"], "0.123456789"),
    "a float of 4 bytes, too small": ("real", "number", [], "1e-50"),
    "a float of 8 bytes": (
        "double precision",
        "number",
        ["0.1", "1e300", "0.30000000000000004"],
        "9223372036854775807",
    ),
    "a float of 8 bytes for integers": ("double precision", "integer", ["9007199254740992"], "9007199254740993"),
    "a float of 8 bytes, too large": ("double precision", "number", [], "1e400"),
    "a scale": ("numeric(10,2)", "number", ["0.1", "-12345678.91", "1.100"], "0.126"),
    "a precision": ("numeric(5,2)", "number", ["999.99"], "1000"),
    "no scale": ("numeric(20,0)", "integer", ["99999999999999999999"], "100000000000000000000"),
    "a negative scale": ("numeric(3,-3)", "integer", ["999000"], "1"),
}
"""The column's type, the SCHEMA's, numbers that the column holds, one that it would change."""
MOMENT = {"type": "string", "format": "date-time"}
NARROW_MOMENTS: dict[str, tuple[str, dict[str, Any], list[str], str, str, str]] = {
    "no fraction": (
        "timestamptz(0)", MOMENT, ["2026-01-01T12:00:00+01:00"], "2026-01-01T12:00:00.6Z",
        "timestamp with time zone", "2026-01-01 12:00:00.6+00",
    ),
    "milliseconds without zone": (
        "timestamp(3)", MOMENT, ["2026-01-01T12:00:00.123Z"], "2026-01-01T12:00:00.1234+01:00",
        "timestamp without time zone", "2026-01-01 11:00:00.1234",
    ),
    "a time without fraction": (
        "time(0)", {"type": "string", "format": "time"}, ["12:00:00"], "12:00:00.5", "time without time zone", "12:00:00.5",
    ),
    "a time of UTC": (
        "time", {"type": "string", "format": "time"}, ["12:00:00", "12:00:00Z", "12:00+00:00"], "10:00:00+02:00",
        "time with time zone", "10:00:00+02",
    ),
    "a date": (
        "date", {"type": "string", "format": "date"}, ["2026-01-01", "2026-01-01T00:00:00Z"], "2026-05-05T23:30:00-08:00",
        "timestamp with time zone", "2026-05-06 07:30:00+00",
    ),
    "a date at midnight elsewhere": (
        "date", {"type": "string", "format": "date"}, [], "2026-05-05T00:00:00-08:00",
        "timestamp with time zone", "2026-05-05 08:00:00+00",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NARROW)
def test_a_number_that_a_column_would_round_widens_the_column_first(loader: Loader, case: str) -> None:
    stored, kind, fitting, wide = NARROW[case]
    loader.query(f"create table public.t (id bigint primary key, a {stored}); insert into t values (0, 0)")
    told = schema("t", {"id": {"type": "integer"}, "a": {"type": kind}}, version=None)
    rules = [{"type": "touched", "stream": "t", "on": "updated"}]
    given = [spelt(number, text) for number, text in enumerate(fitting, 1)]
    values = [(Decimal(text),) for text in ["0", *fitting]]
    for _ in range(2):
        loader.load([told, *given], events=rules)
    assert loader.query("select a::text::numeric from t order by id") == values
    assert type_of(loader) == stored
    loader.load([told, spelt(9, wide), spelt(8, wide), state(1)], events=rules, batch_size_rows=1)
    loader.load([told, *given, spelt(9, wide)], events=rules)
    assert type_of(loader) == "numeric"
    assert loader.query("select a from t order by id") == [*values, (Decimal(wide),), (Decimal(wide),)]
    assert loader.events() == []


def spelt(key: int, number: str) -> str:
    """A RECORD with a number in these digits."""
    return f'{{"type": "RECORD", "stream": "t", "record": {{"id": {key}, "a": {number}}}}}'


def type_of(loader: Loader) -> str:
    found = loader.query(
        "select format_type(atttypid, atttypmod) from pg_attribute where attname = 'a' and attrelid = 't'::regclass"
    )
    return str(found[0][0])


@pytest.mark.parametrize("case", NARROW_MOMENTS)
@pytest.mark.parametrize("validates", [True, False])
def test_a_moment_that_a_column_would_cut_widens_the_column_first(
    loader: Loader, case: str, *, validates: bool
) -> None:
    stored, kind, fitting, value, wide, shown = NARROW_MOMENTS[case]
    loader.query(f"create table public.t (id bigint primary key, a {stored})")
    told = schema("t", {"id": {"type": "integer"}, "a": kind}, version=None)
    before = loader.query("select null::text where false")
    if fitting:
        loader.load(
            [told, *(record("t", id=number, a=text) for number, text in enumerate(fitting))], validate_records=validates
        )
        before = loader.query(f"select a::{wide}::text from t order by id")
        assert type_of(loader).startswith(stored.split("(")[0].removesuffix("tz"))
        assert type_of(loader) != wide
    for _ in range(2):
        loader.load([told, record("t", id=9, a=value)], validate_records=validates)
    assert type_of(loader) == wide
    assert loader.query("select a::text from t order by id") == [*before, (shown,)]


@pytest.mark.parametrize("kind", ["date", "date-time"])
def test_days_of_one_date_are_versions_in_their_order(loader: Loader, kind: str) -> None:
    told = schema(
        "t", {"id": {"type": "integer"}, "a": {"type": "string", "format": kind}, "v": {"type": "integer"}}, version="a"
    )
    for hour in (10, 9, 11):
        loader.load([told, record("t", id=1, a=f"2026-01-01T{hour:02}:00:00+05:00", v=hour)])
    assert loader.query("select v from t") == [(11,)]
    loader.load(
        [
            told,
            record("t", id=1, a="2026-01-01T06:00:01Z", v=12),
            record("t", id=1, a="2026-01-01T10:59:00+05:00", v=13),
        ]
    )
    assert loader.query("select v from t") == [(12,)]


def test_a_column_of_a_view_that_would_change_a_value_is_named_with_the_view(loader: Loader) -> None:
    loader.query("create table public.t (id bigint primary key, a real); create view seen as select a from t")
    told = schema("t", {"id": {"type": "integer"}, "a": {"type": "number"}}, version=None)
    loader.load([told, record("t", id=1, a=0.1)])
    message = loader.refused([told, record("t", id=1, a=0.123456789), state(1)])
    assert all(part in message for part in ['stream "t"', '"a" to numeric', "a value that has come", "(view seen)"]), (
        message
    )
    assert "0.123" not in message
    assert loader.query("select a from t") == [(0.1,)]
    loader.query(
        "drop view seen; drop table t; create domain small as numeric(3,1); create table t (id bigint primary key, a small)"
    )
    loader.load([told, record("t", id=1, a=0.1)])
    message = loader.refused([told, record("t", id=1, a=0.126), state(1)])
    assert all(part in message for part in ['stream "t", column "a"', "its domain", "numeric"]), message


def test_a_rule_that_the_wider_column_would_break_is_named_before_anything_is_changed(loader: Loader) -> None:
    loader.query("create table public.t (id bigint primary key, a text[])")
    told = schema("t", {"id": {"type": "integer"}, "a": {"type": "array"}}, version=None)
    rules = [{"type": "tagged", "stream": "t", "enters": "'x' = any(a)"}]
    loader.load([told, record("t", id=1, a=["x"])], events=rules)
    assert loader.events() == [("tagged", "1")]
    message = loader.refused([told, record("t", id=2, a=["x", 1])], events=rules)
    assert all(part in message for part in ['the rule "tagged"', "any"]), message
    assert type_of(loader) == "text[]"


def test_a_character_that_the_databases_encoding_lacks_is_named_as_that(loader: Loader) -> None:
    name = f"latin_{secrets.token_hex(4)}"
    execute(loader.database, f"create database {name} template template0 encoding 'LATIN1' locale 'C'")
    latin = replace(loader, database=urlsplit(loader.database)._replace(path=f"/{name}").geturl())
    told = schema("t", {"id": {"type": "integer"}, "a": {"type": "string"}}, version=None)
    rules = [{"type": "long", "stream": "t", "enters": "length(a) > 3"}]
    try:
        for events in ([], rules):
            message = latin.refused([told, record("t", id=1, a="漢"), state(1)], events=events)
            assert all(part in message for part in ['stream "t"', "encoding LATIN1 lacks", "UTF8"]), message
            assert "condition" not in message
        given = [told, record("t", id=1, a="漢"), record("t", id=2, a="é")]
        latin.load(given, on_invalid_record="dead_letter")
        assert latin.query("select id, a from t") == [(2, "é")]
    finally:
        execute(loader.database, f"drop database {name} with (force)")


def test_a_relay_against_a_read_only_server_without_its_tables_says_so_at_once() -> None:
    words = "cannot execute CREATE TABLE in a read-only transaction"
    refused = session_refusal("relay", "h:1", Primary(words), DELIVERY_REMEDIES, closed=False)
    assert not isinstance(refused, ConnectionLostError)
    assert all(part in str(refused) for part in ["standby", "target_session_attrs=read-write"])
    lost = session_refusal(
        "relay", "h:1", Primary(words.replace("CREATE TABLE", "UPDATE")), DELIVERY_REMEDIES, closed=False
    )
    assert isinstance(lost, ConnectionLostError)


def test_a_relay_against_a_read_only_server_with_its_tables_says_so_at_once(database: str) -> None:
    outbox, receiver = Outbox(database), Receiver()
    outbox.announce(receiver.delivery())
    outbox.add()
    outbox.query(f"alter database {urlsplit(database).path[1:]} set default_transaction_read_only = on")
    with pytest.raises(DatabaseError, match=r"relay: .* is read-only, .*target_session_attrs=read-write") as refusal:
        outbox.drain(receiver.delivery(), reconnect_seconds=3600)
    assert not isinstance(refusal.value, ConnectionLostError)


class Primary(errors.ReadOnlySqlTransaction):
    """What a standby answers."""


FLAT = {
    "id": {"type": "integer"},
    "o": {"type": ["object", "null"], "properties": {"x": {"type": ["integer", "null"]}}},
}


def test_a_flattened_object_that_is_null_makes_its_columns_null_without_a_warning(
    loader: Loader, caplog: pytest.LogCaptureFixture
) -> None:
    told = schema("t", FLAT, version=None)
    settings = {"flattening_enabled": True, "flattening_max_depth": 2}
    loader.load([told, record("t", id=1, o={"x": 1}), record("t", id=2, o={"x": 2})], **settings)
    loader.load([told, record("t", id=1, o=None), record("t", id=2)], **settings)
    assert loader.query("select id, o__x from t order by id") == [(1, None), (2, 2)]
    assert "that its SCHEMA lacks" not in caplog.text


def test_two_properties_that_are_flattened_into_one_column_are_named(loader: Loader) -> None:
    told = schema("t", {**FLAT, "o__x": {"type": "integer"}}, version=None)
    message = loader.refused([told], flattening_enabled=True, flattening_max_depth=2)
    assert all(part in message for part in ['stream "t"', "o__x"]), message


@pytest.mark.parametrize("single", [True, False])
def test_a_stream_with_a_key_has_as_many_properties_as_a_table_has_columns(loader: Loader, *, single: bool) -> None:
    names = [f"c{number}" for number in range(830)]
    told = schema(
        "t", {"id": {"type": "integer"}, **{name: {"type": ["integer", "null"]} for name in names}}, version="c0"
    )
    rules = [
        {"type": "came", "stream": "t", "on": "created"},
        {"type": "many", "stream": "t", "enters": "c829 > 5"},
        {"type": "moved", "stream": "t", "changes": ["c828"]},
        {"type": "both", "stream": "t", "when": "new.c829 = old.c829 + 2"},
    ]
    first = record("t", id=1, c0=1, c828=1, c829=5)
    second, third = record("t", id=1, c0=2, c828=2, c829=7), record("t", id=1, c0=3, c829=8)
    if single:
        for each in (first, second, third):
            loader.load([told, each], events=rules)
    else:
        loader.load([told, first], events=rules)
        loader.load([told, third, record("t", id=2, c0=1), second], events=rules)
    assert loader.query("select c0, c828, c829 from t where id = 1") == [(3, 2, 8)]
    told_of = loader.events("type, key->>'id', data->'old'->>'c829', data->'new'->>'c829', data->>'changed'")
    changed = '["c0", "c828", "c829"]'
    assert [each for each in told_of if each[1] == "1" and each[0] != "came"] == [
        (kind, "1", "5", "7", changed) for kind in ("many", "moved", "both")
    ]
    loader.load([told, first, second, third], events=rules)
    assert len(loader.events()) == len(told_of)


def test_a_column_that_ignores_case_is_named_and_one_row_has_one_key(
    loader: Loader, caplog: pytest.LogCaptureFixture
) -> None:
    loader.query("create extension citext; create table t (id citext primary key, a citext, n bigint)")
    kinds = {"id": {"type": "string"}, "a": {"type": "string"}, "n": {"type": "integer"}}
    rules = [{"type": "came", "stream": "t", "on": "created"}, {"type": "touched", "stream": "t", "on": "updated"}]
    for number, key in enumerate(["Abc", "abc", "ABC"]):
        loader.load([schema("t", kinds, version=None), record("t", id=key, a="McDonald", n=number)], events=rules)
    assert loader.events("type, partitionkey") == [("came", "abc"), ("touched", "abc"), ("touched", "abc")]
    assert all(f'column "{name}" of "public"."t" is citext' in caplog.text for name in ("id", "a"))


def test_enums_and_columns_of_other_types_beside_the_streams_are_taken_as_they_are(loader: Loader) -> None:
    loader.query(
        "create type mood as enum ('sad', 'glad');"
        " create table t (id bigint primary key, a mood, row bigint generated always as identity, two bigint generated always"
        " as (id * 2) stored, must text not null default 'm', at timestamp default now())"
    )
    told = schema("t", {"id": {"type": "integer"}, "a": {"type": "string"}}, version=None)
    rules = [{"type": "touched", "stream": "t", "on": "updated"}]
    for mood in ("sad", "glad", "glad"):
        loader.load([told, record("t", id=1, a=mood)], events=rules)
    assert loader.query("select a::text, two, must from t") == [("glad", 2, "m")]
    assert loader.events() == [("touched", "1")]
    message = loader.refused([told, record("t", id=2, a="mad"), state(1)])
    assert all(part in message for part in ['column "a"', "mood"]), message
