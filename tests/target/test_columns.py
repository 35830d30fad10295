"""The table for a SCHEMA, alone."""

from __future__ import annotations

from typing import Any

import pytest

from target_eventgen.errors import InvalidSchemaError
from target_eventgen.model.tables import (
    METADATA,
    Column,
    has_whole_year,
    location,
    may_lack_century,
    name_fault,
    postgres_type,
    table,
    widened,
)

pytestmark = pytest.mark.pure

TYPES: list[tuple[Any, str]] = [
    ({"type": "string"}, "text"),
    ({"type": ["null", "string"]}, "text"),
    ({"type": "string", "format": "email"}, "text"),
    ({"type": "string", "format": "date-time"}, "timestamp with time zone"),
    ({"type": "string", "format": "date"}, "date"),
    ({"type": "string", "format": "time"}, "time without time zone"),
    ({"type": "string", "format": "uuid"}, "uuid"),
    ({"type": "integer", "maximum": 5}, "bigint"),
    ({"type": "number"}, "numeric"),
    ({"type": ["integer", "number", "null"]}, "numeric"),
    ({"type": "boolean"}, "boolean"),
    ({"type": ["boolean", "integer"]}, "jsonb"),
    ({"type": ["boolean", "string"]}, "text"),
    ({"type": ["integer", "string"]}, "text"),
    ({"type": ["array", "string"]}, "jsonb"),
    ({"type": "object"}, "jsonb"),
    ({"type": "array"}, "jsonb"),
    ({"type": "null"}, "text"),
    ({}, "jsonb"),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "bigint"),
    ({"oneOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}, "text"),
    ({"allOf": [{"type": "integer"}, {"minimum": 5}]}, "bigint"),
    (True, "jsonb"),
]


@pytest.mark.parametrize(("definition", "type_"), TYPES)
def test_a_property_has_the_type_that_fits_all_of_its_values(definition: Any, type_: str) -> None:
    assert postgres_type(definition) == type_


@pytest.mark.parametrize(
    ("stream", "default", "expected"),
    [
        ("a", None, ("public", "a")),
        ("s-a", None, ("s", "a")),
        ("d-s-a", None, ("s", "a")),
        ("-a", None, ("public", "-a")),
        ("a-b-c-d", None, ("public", "a-b-c-d")),
        ("s-a", "x", ("x", "a")),
    ],
)
def test_a_streams_name_says_where_it_is_stored(stream: str, default: str | None, expected: tuple[str, str]) -> None:
    assert location(stream, default) == expected


@pytest.mark.parametrize(
    ("stream", "default", "expected"),
    [
        ("crm-a", None, ("sales", "a")),
        ("d-crm-a", "x", ("sales", "a")),
        ("s-a", "x", ("x", "a")),
        ("crm", "x", ("x", "crm")),
    ],
)
def test_a_prefix_that_is_mapped_goes_where_it_is_mapped_to(
    stream: str, default: str | None, expected: tuple[str, str]
) -> None:
    assert location(stream, default, {"crm": "sales"}) == expected


@pytest.mark.parametrize("name", ["", "a\0", "ä" * 32, "ctid", "_eventgen_at"])
def test_a_name_that_postgres_would_cut_or_has_taken_is_a_fault(name: str) -> None:
    assert name_fault(name, is_column=True) is not None


@pytest.mark.parametrize("name", ["a" * 63, "ä" * 31, "Select", "_sdc_x"])
def test_any_other_name_is_unchanged(name: str) -> None:
    assert name_fault(name, is_column=True) is None


def test_metadata_columns_stand_apart_from_content() -> None:
    schema = {
        "properties": {"id": {"type": "integer"}, "_sdc_deleted_at": {"type": "string"}, "at": {"type": "string"}}
    }
    made = table("s", schema, key=["id"], replication_key="at", default_schema=None, with_metadata=True)
    assert [column.name for column in made.content] == ["id", "at"]
    assert [column.name for column in made.metadata] == list(METADATA)
    assert made.replication_key is not None
    assert made.replication_key.name == "at"


def test_a_replication_key_that_is_not_a_column_orders_nothing() -> None:
    made = table(
        "s", {"properties": {"id": {}}}, key=[], replication_key="at", default_schema=None, with_metadata=False
    )
    assert made.replication_key is None
    assert made.metadata == ()


@pytest.mark.parametrize(("schema", "key"), [({}, []), ({"properties": {}}, []), ({"properties": {"a": {}}}, ["b"])])
def test_a_schema_that_makes_no_table_is_refused(schema: dict[str, Any], key: list[str]) -> None:
    with pytest.raises(InvalidSchemaError, match='stream "s"'):
        table("s", schema, key=key, replication_key=None, default_schema=None, with_metadata=False)


@pytest.mark.parametrize(
    ("stored", "wanted", "type_"),
    [
        ("bigint", "bigint", None),
        ("integer", "bigint", "bigint"),
        ("smallint", "numeric", "numeric"),
        ("bigint", "numeric", "numeric"),
        ("numeric", "bigint", None),
        ("numeric", "text", "text"),
        ("date", "timestamp with time zone", "timestamp with time zone"),
        ("timestamp with time zone", "date", None),
        ("timestamp with time zone", "bigint", "text"),
        ("boolean", "bigint", "jsonb"),
        ("uuid", "text", "text"),
        ("text", "bigint", None),
        ("text", "jsonb", "jsonb"),
        ("jsonb", "text", None),
        ("character varying(9)", "text", "text"),
        ("character varying", "bigint", None),
        ("double precision", "numeric", None),
        ("timestamp without time zone", "timestamp with time zone", None),
        ("numeric(10,2)", "text", None),
        ("json", "jsonb", "jsonb"),
        ("json", "text", "jsonb"),
        ("character varying[]", "jsonb", None),
        ("time with time zone", "time without time zone", None),
    ],
)
def test_a_column_is_widened_only_where_nothing_is_lost(stored: str, wanted: str, type_: str | None) -> None:
    assert widened(stored, wanted) == type_


@pytest.mark.parametrize(("key", "most"), [(["c0"], 1589), ([], 1590)])
def test_a_table_has_as_many_columns_as_fit(key: list[str], most: int) -> None:
    properties: dict[str, Any] = {f"c{number}": {} for number in range(most)}
    options: dict[str, Any] = {"key": key, "replication_key": None, "default_schema": None, "with_metadata": True}
    assert len(table("s", {"properties": properties}, **options).content) == most
    with pytest.raises(InvalidSchemaError, match=f"can have {most} columns"):
        table("s", {"properties": {**properties, "more": {}}}, **options)


@pytest.mark.parametrize(("stream", "default"), [("eventgen-events", None), ("events", "eventgen")])
def test_no_stream_is_stored_beside_the_outbox(stream: str, default: str | None) -> None:
    with pytest.raises(InvalidSchemaError, match="its table would lie in the Postgres schema") as caught:
        table(
            stream,
            {"properties": {"id": {"type": "integer"}}},
            key=["id"],
            replication_key=None,
            default_schema=default,
            with_metadata=True,
        )
    assert f'stream "{stream}"' in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["2026-01-31", "20260131", "2026-01-31T10:00+05:00", "Sat, 31 Jan 2026 10:00:00 GMT", "Sat Jan 31 10:00:00 2026",
     "Jan 31 10:00:00 +0500 2026", "20260131T101112Z", "0044-03-15 BC", "12345-01-01", "123456-01-01", "05/06/2024"],
)  # fmt: skip
def test_a_date_with_a_whole_year_names_it(text: str) -> None:
    assert has_whole_year(text)
    assert not may_lack_century(text)


@pytest.mark.parametrize(
    "text",
    ["5/6/24", "1 2 3", "240506", "24-05-06T10:00:00.123456+0530", "5/6/24 10:00 GMT+0300", "May 6, 24", "12-1-3",
     "6 May 24 10:00:00", "240131T101112"],
)  # fmt: skip
def test_a_date_whose_century_would_be_guessed_is_known(text: str) -> None:
    assert not has_whole_year(text)
    assert may_lack_century(text)


@pytest.mark.parametrize("text", ["never", "s3cr3t-value", ""])
def test_what_is_no_date_is_left_to_postgres(text: str) -> None:
    assert not may_lack_century(text)


def test_a_type_is_known_without_its_length_and_as_what_a_domain_is_made_of() -> None:
    assert Column("a", "timestamp(3) without time zone").bare == "timestamp without time zone"
    assert Column("a", "numeric(10,-2)").bare == "numeric"
    assert Column("a", "public.amount", "numeric(10,2)").bare == "numeric"
