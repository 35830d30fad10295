"""Odd lists and odd facts: each is read whole, or stops with a message."""

from __future__ import annotations

from typing import Any

import pytest

from tap_restextract.errors import TapError, WalkError
from tap_restextract.paginators import Token
from tap_restextract.steps import Page
from tests.tap_restextract.scripts import LATER, Read, at, drive, pages
from tests.tap_restextract.streams import COMPOUND, INCLUSIVE, UNIQUE, plan


@pytest.mark.parametrize("facts", [COMPOUND, UNIQUE])
def test_an_empty_page_with_a_token_does_not_end_a_keyset(facts: dict[str, Any]) -> None:
    made = plan(**facts, paginator={"type": "cursor"})
    script = [Page((), Token("a"), LATER), Page([at(1, 1)], None, LATER), Page((), None, LATER)]
    assert drive(made, pages(*script)).ids == [1]


@pytest.mark.parametrize(
    "facts",
    [INCLUSIVE, {**INCLUSIVE, "paginator": {"type": "page_number"}}],
    ids=["single", "pages"],
)
@pytest.mark.parametrize("source", ["initial_value", "STATE"])
def test_a_mark_of_another_kind_than_the_values_is_told_and_drops_nothing(facts: dict[str, Any], source: str) -> None:
    milliseconds = 1767225600000
    incremental = facts["incremental"] | ({"initial_value": milliseconds} if source == "initial_value" else {})
    made = plan(**{**facts, "incremental": incremental})
    state = {"replication_key_value": milliseconds} if source == "STATE" else {}
    with pytest.raises(TapError):
        drive(made, pages(Page([at(1, 1), at(2, 2)], None, LATER), Page((), None, LATER)), state)


def test_text_keys_of_an_api_that_ignores_the_filter_do_not_go_on_for_ever() -> None:
    with pytest.raises(WalkError):
        drive(plan(**UNIQUE), lambda _: Page([{"id": "a"}, {"id": "b"}], Token("x"), LATER), read=Read())


@pytest.mark.parametrize("key", [[1], {"a": 1}])
def test_a_key_that_is_no_scalar_stops_a_unique_keyset_with_a_message(key: Any) -> None:
    with pytest.raises(TapError):
        drive(plan(**UNIQUE), pages(Page([{"id": key}], None, LATER), Page((), None, LATER)))


def test_text_keys_and_a_numeric_initial_value_are_told() -> None:
    made = plan(**{**UNIQUE, "incremental": {**UNIQUE["incremental"], "initial_value": 0}})
    with pytest.raises(TapError):
        drive(made, pages(Page([{"id": "a"}], None, LATER), Page((), None, LATER)))


def test_a_request_that_mentions_a_tie_breaker_its_walk_never_asks_with_is_refused_by_the_plan() -> None:
    facts = {"cursor_path": "updated_at", "tie_breaker": "id"}
    with pytest.raises(TapError):
        plan(params={"since": "{cursor.updated_at}", "after": "{cursor.id}"}, incremental=facts)
