"""Facts about pages that nothing proves or disproves, as each answer is another: what speaks against them is told."""

from __future__ import annotations

from typing import Any

import pytest

from tap_restextract.errors import WalkError
from tap_restextract.exchange.answer import Answer, facts_of
from tap_restextract.exchange.paginators import Link, Number, Token
from tap_restextract.exchange.stated_ends import stated_end
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import rank
from tap_restextract.walks.ascending import keyset
from tap_restextract.walks.probing import probed
from tap_restextract.walks.steps import Page
from tap_restextract.walks.table import stream_walk_for
from tests.support.streams import COMPOUND, INCLUSIVE, plan
from tests.support.walks import LATER, Answers, at, compound, drive

pytestmark = pytest.mark.pure

PAGES: dict[str, Any] = {"type": "page_number", "has_more_path": "more"}
FALLING: dict[str, Any] = {**INCLUSIVE, "incremental": {"cursor_path": "updated_at", "order": "desc"}}
CLOCK = float(rank(at(20)["updated_at"]))


def notices(made: Plan, *script: Page) -> str:
    """What is told of these pages, which come in turn."""
    left = [*script]
    told: list[str] = []
    sub_walk = probed(stream_walk_for(made, None), made, None).next()
    assert sub_walk is not None
    step = next(sub_walk.steps)
    while step.request is not None:
        step = sub_walk.steps.send(left.pop(0))
        told += step.notices
    assert left == []
    return "\n".join(told)


def last_page(*records: dict[str, Any], clock: float = CLOCK) -> Page:
    """A page that says that it is the last one."""
    made = plan(paginator=PAGES)
    end = stated_end(made.stream.paginator, Answer("http://x", facts_of(200, {}), {"more": False}), None, len(records))
    assert end is not None
    return Page([*records], None, clock, end=end)


def test_records_behind_a_stated_end_that_are_older_than_it_are_told_where_the_page_is_another_one_each_time() -> None:
    made = plan(**FALLING | {"paginator": PAGES})
    first, behind = last_page(at(9, 1), at(8, 2)), Page([at(7, 3), at(6, 4)], Number(2), CLOCK + 1)
    again = last_page(at(9, 1), at(7, 3), at(6, 4), clock=CLOCK + 1)
    assert notices(made, first, behind, again, behind) == (
        "stream things (descending): the first page says that it is the last one (more is false), and page 1 behind it held 2 records that "
        "are older than that answer, and were on no page before it; set has_more_path to the flag that is true where more "
        "follows, or leave it out, so that an empty page is the end"
    )


def test_records_that_joined_behind_a_stated_end_are_not_told() -> None:
    made = plan(**FALLING | {"paginator": PAGES})
    joined, again = Page([at(21, 3)], None, CLOCK + 3), Page([at(21, 3), at(9, 1)], Number(1), CLOCK + 4)
    assert notices(made, last_page(at(9, 1)), joined, again) == ""


def test_records_that_may_show_up_as_late_as_lookback_says_are_not_told() -> None:
    late = {"cursor_path": "updated_at", "order": "desc", "lookback": "15s"}
    made = plan(**FALLING | {"paginator": PAGES, "incremental": late})
    behind, again = Page([at(7, 3)], None, CLOCK + 1), last_page(at(9, 1), at(7, 3), clock=CLOCK + 1)
    assert notices(made, last_page(at(9, 1)), behind, again, behind) == ""


def test_what_is_gone_from_a_page_once_that_holds_what_it_brought_is_told() -> None:
    made = plan(paginator={"type": "cursor", "cursor_path": "next"})
    cut = Page([at(1, 1)], None, LATER, untried=(("following", Token("t")),))
    whole = Page([at(1, 1), at(2, 2)], None, LATER)
    assert notices(made, cut, Page([at(2, 2)], None, LATER), whole) == (
        "stream things (traversal): the token at following, which nothing reads, brought 1 records that the page beside it should have held, "
        "if it was the last one; if it asks for the next page, set cursor_path: following, or else ignored_marks: [following]"
    )
    assert notices(made, cut, Page([at(2, 2)], None, LATER), Page([at(1, 1)], None, LATER)) == ""


def test_what_nothing_reads_and_is_answered_by_the_page_beside_it_is_told_as_the_api_may_not_look_at_it() -> None:
    made = plan(paginator={"type": "cursor", "cursor_path": "next", "cursor_param": "after"})
    cut = Page([at(1, 1)], None, LATER, untried=(("meta.following", Token("t")),))
    assert notices(made, cut, Page([at(1, 1)], None, LATER)) == (
        "stream things (traversal): the token at meta.following, which nothing reads, was answered by records of which none is proven to be "
        "missing in the page beside it, as where the API doesn't look at 'after'; if it asks for the next page, set cursor_path: meta.following, "
        "and cursor_param, or cursor_body_path, to where the API expects it, if that isn't 'after'; or else ignored_marks: [meta.following]"
    )
    assert notices(made, cut, Page([], None, LATER)) == ""


def test_the_title_of_a_page_that_is_answered_by_that_page_is_not_told() -> None:
    made = plan(paginator={"type": "cursor", "cursor_path": "next"})
    titled = Page([at(1, 1)], None, LATER, untried=(("following.page_title", Token("t")),))
    assert notices(made, titled, Page([at(1, 1)], None, LATER)) == ""


def test_a_link_that_nothing_reads_and_that_leads_to_the_page_beside_it_is_told() -> None:
    made = plan(paginator={"type": "json_link", "next_url_path": "next"})
    cut = Page([at(1, 1)], None, LATER, untried=(("following", Link("http://x/things?after=t")),))
    assert "set next_url_path: following" in notices(made, cut, Page([at(1, 1)], None, LATER))


def test_an_answer_cut_smaller_than_its_limit_is_told_where_the_list_of_nulls_rests_on_the_limit() -> None:
    """The keyset itself goes on behind each answer; the list of records without key ends with its only one."""
    listed = [at(second, second) for second in range(1, 6)]
    facts: dict[str, Any] = {**COMPOUND, "paginator": {"type": "single_page", "limit": 6}}
    assert drive(plan(**facts), compound(listed)).ids == [1, 2, 3, 4, 5]
    made = plan(**facts | {"incremental": {**facts["incremental"], "null_params": {"nulls": "1"}}})
    with pytest.raises(
        WalkError, match="an answer holds 2 records, fewer than limit: 6, and the answer behind it 2 more"
    ):
        read(made, compound(listed))
    assert read(made, compound(listed, 6)) == [1, 2, 3, 4, 5]


def read(made: Plan, answers: Answers) -> list[int]:
    """The ids that a compound keyset emits, whatever follows it."""
    ids, step = [], next(steps := keyset(made, None))
    while step.request is not None:
        step = steps.send(answers(step.request))
        ids += [record["id"] for record in step.records]
    return ids
