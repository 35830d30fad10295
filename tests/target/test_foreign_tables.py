"""Tables that other tools made: values are stored as they were sent, or named, and versions keep their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.messages import record, schema, state

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
