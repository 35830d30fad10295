"""Schemas: inferred as narrowly as a sample allows, and complete for the keys that the plan needs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import fastjsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_restextract.errors import ConfigurationError
from tap_restextract.singer.schema import completed, inferred, is_whole
from tests.support.streams import INCLUSIVE, plan

pytestmark = pytest.mark.pure

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.just("2026-01-01T00:00:00Z"),
    st.lists(st.integers()),
    st.dictionaries(st.text(), st.integers()),
)


@pytest.mark.parametrize(
    ("found", "described"),
    [
        ([1, None], {"type": ["number", "null"]}),
        ([2**53, -(2**53)], {"type": ["number", "null"]}),
        ([1, 2**53 + 1], {"type": ["integer", "null"]}),
        ([2**64, Decimal("0.5")], {"type": ["number", "null"]}),
        ([1, Decimal("1.5")], {"type": ["number", "null"]}),
        ([True], {"type": ["boolean", "null"]}),
        (["a"], {"type": ["string", "null"]}),
        (["2026-01-01T00:00:00Z", None], {"type": ["string", "null"], "format": "date-time"}),
        (["2026-01-01T00:00:00Z", "soon"], {"type": ["string", "null"]}),
        (["2026-01-01"], {"type": ["string", "null"]}),
        ([[1]], {"type": ["array", "null"]}),
        ([{"a": 1}], {"type": ["object", "null"]}),
        ([None], {"type": ["null"]}),
        ([1, "a"], {"type": ["number", "string", "null"]}),
        (["2026-01-01T00:00:00Z", 1], {"type": ["number", "string", "null"]}),
    ],
)
def test_a_property_is_what_all_of_its_values_are(found: list[Any], described: dict[str, Any]) -> None:
    assert inferred([{"p": value} for value in found])["properties"]["p"] == described


@pytest.mark.parametrize("name", ["id", "order_id", "orderId", "orderID", "number"])
def test_whole_numbers_of_keys_and_references_stay_integers(name: str) -> None:
    assert inferred([{name: 7}], {"number"})["properties"][name] == {"type": ["integer", "null"]}


@pytest.mark.parametrize("name", ["paid", "grid", "ID", "order_ids", "identity"])
def test_other_names_are_no_references(name: str) -> None:
    assert inferred([{name: 7}])["properties"][name] == {"type": ["number", "null"]}


@pytest.mark.parametrize(
    ("declared", "whole"),
    [
        ({"id": {}, "updated_at": {}}, True),
        ({"id": {}}, False),
        ({"total": {}}, False),
        ({}, True),  # no properties at all are an error of their own
    ],
)
def test_a_schema_with_each_key_is_the_whole_of_it(declared: dict[str, Any], *, whole: bool) -> None:
    assert is_whole({"properties": declared}, plan(**INCLUSIVE)) == whole


@given(st.lists(st.dictionaries(st.sampled_from("abc"), values), min_size=1))
def test_every_record_of_the_sample_fits_the_schema_inferred_from_it(records: list[dict[str, Any]]) -> None:
    schema = inferred(records)
    assert set(schema["properties"]) == set().union(*records)
    validate = fastjsonschema.compile(schema, formats={"date-time": lambda _: True})
    for record in records:
        validate(record)


@pytest.mark.parametrize(
    ("given", "epoch", "made"),
    [
        ({"meta": {}}, None, "date-time"),
        ({"meta": {"type": "object", "properties": {"updated": {"type": "string"}}}}, None, "date-time"),
        ({"meta": {"type": "object", "properties": {"updated": {"type": "integer"}}}}, None, "number"),
        ({"meta": {}}, "ms", "number"),
        ({"meta": {}, "meta__updated": {"type": ["integer", "null"]}}, None, "number"),
        ({"meta": {}, "meta__updated": {"type": ["string", "integer", "number", "null"]}}, None, "date-time"),
    ],
)
def test_a_nested_replication_key_is_an_instant_or_a_number_and_never_both(
    given: dict[str, Any], epoch: str | None, made: str
) -> None:
    incremental = {"cursor_path": "meta.updated"} | ({"epoch": epoch} if epoch else {})
    nested = {"params": {"since": "{cursor.meta.updated}"}, "incremental": incremental}
    described = completed({"properties": {"id": {}, **given}}, plan(**nested))["properties"]["meta__updated"]
    assert "null" in described["type"]
    assert described.get("format", described["type"][0]) == made


@pytest.mark.parametrize("key", ["id", "updated_at"])
def test_a_schema_without_a_key_is_refused(key: str) -> None:
    properties: dict[str, Any] = {name: {} for name in ("id", "updated_at") if name != key}
    with pytest.raises(ConfigurationError, match=f"stream things: the schema has no property '{key}', which is a key"):
        completed({"properties": properties}, plan(**INCLUSIVE))


@pytest.mark.parametrize("schema", [{}, {"properties": {}}, {"properties": None}, {"properties": []}])
def test_a_schema_without_properties_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="stream things: the schema has no properties"):
        completed(schema, plan())
