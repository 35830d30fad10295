"""The order of ties: an API that orders them another way at each request shows it within its pages."""

from __future__ import annotations

from typing import Any

import pytest

from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import Start
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import rank
from tap_restextract.walks.steps import Page, Record
from tap_restextract.walks.ties import TieOrder
from tests.support.streams import INCLUSIVE, plan
from tests.support.walks import LATER, at, drive, pages

pytestmark = pytest.mark.pure


def falling(**more: Any) -> Plan:
    """The plan of a list that falls, with a tie-breaker."""
    facts = {"cursor_path": "updated_at", "tie_breaker": "id", "order": "desc", **more}
    return plan(**INCLUSIVE | {"incremental": facts, "paginator": {"type": "offset", "limit": 9}})


def checked(made: Plan, *listed: list[Record]) -> None:
    """Look at the ties of these pages."""
    order = TieOrder(made)
    for records in listed:
        order.check(records, [rank(record["updated_at"]) for record in records])


@pytest.mark.parametrize(
    "ids", [[1, 2, 30], [30, 2, 1], [10, 9], [9, 10], [10, 100, 9], ["b", "a", "c"], [1, 1, 2], [True, False, True]]
)
def test_any_order_of_the_tie_breaker_is_legal(ids: list[Any]) -> None:
    checked(falling(), [at(2, each) for each in ids], [at(1, each) for each in ids])


def test_ties_that_rise_and_fall_stop_the_walk() -> None:
    with pytest.raises(
        WalkError, match="stand in no order of id: 2 is before 1, and others before them stood the other way"
    ):
        checked(falling(), [at(3, 1), at(3, 2)], [at(2, 9), at(1, 2), at(1, 1)])


def test_without_a_tie_breaker_ties_have_no_order_and_with_stable_tokens_none_is_needed() -> None:
    listed = [[at(3, 1), at(3, 2)], [at(1, 2), at(1, 1)]]
    checked(falling(tie_breaker=None), *listed)
    checked(plan(**INCLUSIVE | {"paginator": {"type": "cursor", "stable": True}}), *listed)


def test_records_of_different_times_say_nothing_of_ties() -> None:
    checked(falling(), [at(3, 1), at(2, 2), at(1, 1)])


def test_of_a_page_that_overlaps_the_one_before_it_all_records_tell_of_the_order() -> None:
    """Another order each time hides two records behind the overlap, which is all of the second page."""
    made = falling(filter="none")
    first = Page([at(2, 9), at(2, 7), at(1, 5), at(1, 4)], Start(4), LATER)
    with pytest.raises(WalkError, match="stand in no order of id: 1 is before 4"):
        drive(made, pages(first, Page([at(1, 1), at(1, 4)], Start(5), LATER)))
    read = drive(made, pages(first, Page([at(1, 4), at(1, 1)], Start(5), LATER), Page([], None, LATER)))
    assert read.ids == [9, 7, 5, 4, 1]
