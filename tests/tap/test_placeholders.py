"""Placeholders: values put in place, their types kept where a placeholder is all there is."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_restextract.errors import ConfigurationError
from tap_restextract.exchange.placeholders import fill, fill_path, forms, names

pytestmark = pytest.mark.pure

SCOPE: dict[str, Any] = {
    "cursor.updated_at": "2026-01-01T00:00:00.5+01:00",
    "cursor.id": 42,
    "cursor.price": Decimal("1E+3"),
    "cursor.done": True,
}


def test_a_placeholder_that_is_the_whole_string_keeps_its_type() -> None:
    assert fill({"a": ["{cursor.id}", {"b": "{cursor.done}"}]}, SCOPE) == {"a": [42, {"b": True}]}


def test_a_placeholder_in_a_longer_string_becomes_text_as_json_writes_it() -> None:
    template = "id>{cursor.id},price>{cursor.price},done={cursor.done},at {cursor.updated_at}"
    assert fill(template, SCOPE) == "id>42,price>1000,done=true,at 2026-01-01T00:00:00.5+01:00"


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("unix", 1767222000),
        ("unix_ms", 1767222000500),
        ("iso", "2025-12-31T23:00:00.500000Z"),
        ("%Y-%m-%d", "2025-12-31"),
        ("%d.%m.%Y %H:%M", "31.12.2025 23:00"),
    ],
)
def test_forms_are_in_utc_and_round_down(form: str, value: Any) -> None:
    assert fill(f"{{cursor.updated_at:{form}}}", SCOPE) == value
    assert fill(f">{{cursor.updated_at:{form}}}", SCOPE) == f">{value}"


def test_json_encodes_the_structure_and_keeps_types_in_it() -> None:
    filled = fill({"where": {"json": {"$or": [{"id": {"$gt": "{cursor.id}"}}, {"at": "{cursor.updated_at}"}]}}}, SCOPE)
    assert json.loads(filled["where"]) == {"$or": [{"id": {"$gt": 42}}, {"at": SCOPE["cursor.updated_at"]}]}


def test_a_decimal_in_json_is_a_number_with_all_its_digits() -> None:
    scope = {"cursor.n": Decimal("12345678901234567890.123456789")}
    assert fill({"json": ["{cursor.n}"]}, scope) == "[12345678901234567890.123456789]"


def test_doubled_braces_are_braces() -> None:
    assert fill("{{cursor.id}} {{{cursor.id}}}", SCOPE) == "{cursor.id} {42}"


def test_braces_without_a_name_stay_as_they_are() -> None:
    query = "query { items(first: 10) { id } }"
    assert fill(query, SCOPE) == query
    assert list(names(query)) == []


@given(st.text(alphabet=st.characters(exclude_characters="{}")))
def test_text_without_braces_is_never_changed(text: str) -> None:
    assert fill(text, {}) == text


@given(st.text(min_size=1))
def test_in_a_path_a_value_can_not_leave_its_segment(value: str) -> None:
    filled = fill_path("/things/{cursor.id}/rest", {"cursor.id": value.encode(errors="ignore").decode()})
    assert filled.count("/") == 3
    assert not set("?#& ") & set(filled)


def test_braces_in_a_path_are_not_encoded() -> None:
    assert fill_path("/{{a}}/{cursor.id}", SCOPE) == "/{a}/42"


def test_names_and_forms_are_found_at_any_depth() -> None:
    template = {"a": [{"json": {"b": "x{cursor.id}"}}, "{cursor.updated_at:unix}"]}
    assert list(names(template)) == ["cursor.id", "cursor.updated_at"]
    assert list(forms(template)) == ["unix"]


def test_a_name_without_a_value_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigurationError, match=r"\{cursor\.up\} has no value; known are .*\{cursor\.id\}.*\{cursor\.updated_at\}"
    ):
        fill("{cursor.up}", SCOPE)


@pytest.mark.parametrize("value", ["abc", None, [1]])
def test_a_form_of_what_is_not_an_instant_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"\{cursor\.id:unix\} needs an instant or a number of seconds"):
        fill("{cursor.id:unix}", {"cursor.id": value})


def test_milliseconds_in_a_form_that_takes_seconds_are_refused_and_not_a_crash() -> None:
    with pytest.raises(ConfigurationError, match=r"beyond the year 9999; a number is taken as seconds"):
        fill("{cursor.id:iso}", {"cursor.id": 1767225600000})
