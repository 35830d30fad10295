"""Plans: each row of the table, each refusal with what would make the walk safe, and what `plan` prints."""

from __future__ import annotations

from typing import Any

import pytest

from tap_restextract.config.streams import Incremental
from tap_restextract.errors import ConfigurationError
from tap_restextract.plan.plan import NIL_UUID, plan_for
from tap_restextract.plan.ranges import cursor_from, window
from tap_restextract.plan.walks import KEYSET, RESTART, SINGLE, TOKENS, TRAVERSAL, UNIQUE_KEYSET, Walk
from tap_restextract.values.cursor import Cursor
from tests.support.streams import COMPOUND, INCLUSIVE, UNIQUE, plan, stream

pytestmark = pytest.mark.pure

EXCLUSIVE = {**INCLUSIVE, "incremental": {"cursor_path": "updated_at", "filter": "exclusive"}}
STABLE = {"type": "cursor", "stable": True}


@pytest.mark.parametrize(
    ("keys", "walk"),
    [
        ({}, TRAVERSAL),
        (COMPOUND, KEYSET),
        ({**COMPOUND, "paginator": STABLE}, KEYSET),
        ({**COMPOUND, "paginator": {"type": "page_number"}}, KEYSET),
        (UNIQUE, UNIQUE_KEYSET),
        ({**UNIQUE, "paginator": STABLE}, UNIQUE_KEYSET),
        ({**INCLUSIVE, "paginator": STABLE}, TOKENS),
        ({**EXCLUSIVE, "paginator": {"type": "json_link", "stable": True}}, TOKENS),
        ({**INCLUSIVE, "paginator": {"type": "header_link", "stable": True}}, TOKENS),
        ({**INCLUSIVE, "paginator": {"type": "header_cursor", "stable": True}}, TOKENS),
        ({**INCLUSIVE, "paginator": {"type": "cursor"}}, RESTART),
        ({**INCLUSIVE, "paginator": {"type": "page_number"}}, RESTART),
        ({**EXCLUSIVE, "paginator": {"type": "offset", "limit": 5}}, RESTART),
        (INCLUSIVE, SINGLE),
        ({**EXCLUSIVE, "paginator": {"type": "single_page", "limit": 5}}, SINGLE),
    ],
)
def test_each_row_of_the_table_has_its_walk_with_a_reason(keys: dict[str, Any], walk: Walk[Any]) -> None:
    made = plan(**keys)
    assert made.walk is walk
    assert made.safe_because
    assert made.state_moves


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            {"incremental": {"cursor_path": "updated_at", "filter": "compound"}},
            "filter: compound needs tie_breaker",
        ),
        (
            {"incremental": {"cursor_path": "updated_at"}},
            "filter: inclusive, the default, needs the cursor, and no part of the request mentions {cursor.updated_at}",
        ),
        (
            {**COMPOUND, "params": {"since": "{cursor.updated_at}"}},
            "filter: compound is declared, but no part of the request mentions {cursor.id}",
        ),
        (
            {**INCLUSIVE, "params": {"since": "{cursor.updated}"}},
            "the request mentions {cursor.updated}, which has no value; did you mean {cursor.updated_at}?",
        ),
        ({"params": {"q": "{user}"}}, "the request mentions {user}, which has no value; known are none"),
        (
            {**INCLUSIVE, "params": {"since": "{cursor.updated_at:unixx}"}},
            "the placeholder form 'unixx' is unknown; use unix, unix_ms, iso, or a strftime form",
        ),
        (
            {**INCLUSIVE, "path": "/since/{cursor.updated_at}"},
            "the path mentions a cursor, and the first run has none; set incremental.initial_value",
        ),
        (
            {**INCLUSIVE, "incremental": {"cursor_path": "updated_at", "initial_value": "yesterday"}},
            "incremental.initial_value is neither an instant (2020-01-01T00:00:00Z) nor a number",
        ),
        (
            {**INCLUSIVE, "incremental": {"cursor_path": "updated_at", "precision": "0s"}},
            "incremental.precision must be more than nothing",
        ),
    ],
)
def test_what_can_not_be_walked_safely_is_refused_with_what_would_help(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan(**keys)
    assert any(fault.startswith("stream things: ") and told in fault for fault in caught.value.faults)


def test_all_faults_of_a_streams_facts_are_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan(params={"a": "{cursor.x:y}"}, incremental={"cursor_path": "updated_at", "filter": "compound"})
    assert len(caught.value.faults) == 4


@pytest.mark.parametrize(
    ("described", "floor"),
    [
        ({"type": "integer"}, 0),
        ({"type": ["number", "null"]}, 0),
        ({"type": "string"}, None),
        ({"type": "string", "format": "uuid"}, NIL_UUID),
        ({}, None),
    ],
)
def test_a_cursor_without_a_tie_breaker_is_asked_with_the_least_of_its_type(
    described: dict[str, Any], floor: Any
) -> None:
    made = plan_for(stream(**COMPOUND), {"properties": {"id": described}})
    assert made.tie_floor == floor
    assert type(made.tie_floor) is type(floor)


def test_a_nested_replication_key_has_a_name_without_dots() -> None:
    nested = {"params": {"since": "{cursor.meta.updated}"}, "incremental": {"cursor_path": "meta.updated"}}
    assert plan(**nested).replication_key == "meta__updated"
    assert plan(**INCLUSIVE).replication_key == "updated_at"
    assert plan().replication_key is None


@pytest.mark.parametrize(
    ("facts", "value", "cursor"),
    [
        ({}, "2026-01-01T00:00:01.5Z", "2026-01-01T00:00:01.5Z"),
        ({"precision": "1s"}, "2026-01-01T00:00:01.5Z", "2026-01-01T00:00:01.0Z"),
        ({"filter": "exclusive"}, "2026-01-01T00:00:01.5Z", "2026-01-01T00:00:01.4Z"),
        ({"filter": "exclusive"}, "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z"),
        ({"filter": "exclusive", "precision": "1s"}, "2026-01-01T00:00:01.5Z", "2026-01-01T00:00:00.0Z"),
        ({"filter": "exclusive", "precision": "1d"}, "2026-01-02", "2026-01-01"),
        ({"filter": "exclusive"}, 1767225600, 1767225599),
        ({"filter": "exclusive"}, "1767225600", "1767225599"),
    ],
)
def test_what_is_asked_answers_the_whole_window_of_a_value(facts: dict[str, Any], value: Any, cursor: Any) -> None:
    assert cursor_from(Incremental("updated_at", **facts), value) == Cursor(cursor)


def test_a_window_begins_at_the_multiple_of_the_precision() -> None:
    assert window(Incremental("updated_at", precision="1m"), "2026-01-01T00:00:59Z") == "2026-01-01T00:00:00Z"
    assert window(Incremental("updated_at"), "2026-01-01T00:00:59Z") == "2026-01-01T00:00:59Z"
