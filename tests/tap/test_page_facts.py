"""Facts about pages that an API contradicts: each is told with what was asked for, what came, and what to set."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import Link, Start, Token
from tap_restextract.walks.steps import Page, PageRequest
from tests.support.streams import INCLUSIVE, plan
from tests.support.walks import LATER, Answers, at, drive

TOKEN: dict[str, Any] = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}
UNORDERED: dict[str, Any] = {**INCLUSIVE, "incremental": {"cursor_path": "updated_at", "order": "none"}}
FALLING: dict[str, Any] = {**INCLUSIVE, "incremental": {**INCLUSIVE["incremental"], "order": "desc"}}
THREE = [at(3, 1), at(3, 2), at(3, 3)]


def deaf(kind: type[Token | Link] = Token) -> Answers:
    """An API that answers its first page to whatever token, each time with another token."""
    tokens = map(str, itertools.count())
    return lambda _: Page(THREE, kind(next(tokens)), LATER)


@pytest.mark.pure
@pytest.mark.parametrize("stable", [True, False])
@pytest.mark.parametrize("facts", [{}, INCLUSIVE, UNORDERED, FALLING], ids=["traversal", "asc", "none", "desc"])
def test_a_token_that_the_api_does_not_look_at_is_named(facts: dict[str, Any], *, stable: bool) -> None:
    """Each page brings a new token, so that no circle is found."""
    made = plan(**facts, paginator=TOKEN | {"stable": stable})
    with pytest.raises(WalkError, match=r"the API doesn't look at 'after': set cursor_param, or cursor_body_path"):
        drive(made, deaf())


@pytest.mark.pure
def test_links_that_lead_to_their_own_page_are_told() -> None:
    made = plan(paginator={"type": "json_link", "next_url_path": "links.self"})
    with pytest.raises(WalkError, match="the links lead to the page itself: set next_url_path"):
        drive(made, deaf(Link))


@pytest.mark.pure
def test_pages_of_records_without_a_key_may_be_alike_a_hundred_times() -> None:
    tokens = iter([*map(str, range(60)), None])
    made = plan(primary_key=[], paginator=TOKEN)

    def answers(_: PageRequest) -> Page:
        token = next(tokens)
        return Page([{"level": "info"}], None if token is None else Token(token), LATER)

    assert len(drive(made, answers, most=70).pages) == 62


@pytest.mark.pure
@pytest.mark.parametrize("facts", [UNORDERED, FALLING], ids=["none", "desc"])
def test_an_offset_that_the_api_does_not_look_at_is_named_where_pages_overlap(facts: dict[str, Any]) -> None:
    made = plan(**facts, paginator={"type": "offset", "limit": 3, "offset_param": "skip"})

    def answers(asked: PageRequest) -> Page:
        start = asked.at.offset if isinstance(asked.at, Start) else 0
        return Page(THREE, Start(start + 3), LATER)

    with pytest.raises(WalkError, match="the API doesn't look at 'skip': set offset_param"):
        drive(made, answers)
